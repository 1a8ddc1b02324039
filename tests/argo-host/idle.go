package main

import (
	"fmt"
	"net"
	stdrpc "net/rpc"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
)

// checkIdle opens a connection as the controller's client does, and waits for longer than it may take
// until the plugin has acknowledged every stream, stdout's and stderr's as well. The client gives it
// 75 s, and closes the connection then; here it has less.
func checkIdle(rpc.TrafficRouterPlugin) error {
	raw, err := dispense()
	if err != nil {
		return err
	}
	defer raw.process.Kill()
	connection, err := net.Dial("unix", raw.process.ReattachConfig().Addr.String())
	if err != nil {
		return err
	}
	defer connection.Close()
	config := yamux.DefaultConfig()
	config.StreamOpenTimeout = 2 * time.Second
	session, err := yamux.Client(connection, config)
	if err != nil {
		return err
	}
	defer session.Close()
	control, err := session.Open()
	if err != nil {
		return err
	}
	for _, name := range []string{"stdout", "stderr"} {
		if _, err := session.Open(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	client := stdrpc.NewClient(control)
	defer client.Close()
	for range 2 {
		var nothing struct{}
		if err := client.Call("Control.Ping", true, &nothing); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		time.Sleep(config.StreamOpenTimeout + config.StreamOpenTimeout/4)
	}
	if session.IsClosed() {
		return fmt.Errorf("the connection was closed: a stream was not acknowledged")
	}
	return nil
}
