package main

import (
	"bytes"
	"encoding/gob"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"

	goPlugin "github.com/hashicorp/go-plugin"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	pluginrpc "github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// handshake as in the controller's client package, which keeps it to itself.
var handshake = goPlugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "ARGO_ROLLOUTS_RPC_PLUGIN",
	MagicCookieValue: "trafficrouter",
}

// raw is a plugin process with its RPC client laid open.
type raw struct {
	process *goPlugin.Client
	client  goPlugin.ClientProtocol
	rpc     *rpc.Client
}

// rawPlugin hands out the RPC client itself.
type rawPlugin struct {
	goPlugin.NetRPCUnsupportedPlugin
}

func (rawPlugin) Client(_ *goPlugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

func dispense() (*raw, error) {
	path, args, err := plugin.GetPluginInfo(name, types.PluginTypeTrafficRouter)
	if err != nil {
		return nil, err
	}
	process := goPlugin.NewClient(&goPlugin.ClientConfig{
		HandshakeConfig: handshake,
		Plugins:         map[string]goPlugin.Plugin{"RpcTrafficRouterPlugin": rawPlugin{}},
		Cmd:             exec.Command(path, args...),
	})
	client, err := process.Client()
	if err != nil {
		process.Kill()
		return nil, err
	}
	dispensed, err := client.Dispense("RpcTrafficRouterPlugin")
	if err != nil {
		process.Kill()
		return nil, err
	}
	return &raw{process, client, dispensed.(*rpc.Client)}, nil
}

// recordCalls writes what net/rpc's client sends on a connection of one call, for each of some calls.
func recordCalls(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	large, small := largeRollout(), smallRollout()
	header := filled[v1alpha1.SetHeaderRoute](8, 3)
	mirror := filled[v1alpha1.SetMirrorRoute](9, 3)
	for _, call := range []struct {
		file, method string
		args         any
	}{
		{"init_plugin", "InitPlugin", nil},
		{"set_weight_small", "SetWeight", pluginrpc.SetWeightAndVerifyWeightArgs{Rollout: *small, DesiredWeight: 10}},
		{"set_weight_large", "SetWeight", pluginrpc.SetWeightAndVerifyWeightArgs{Rollout: *large, DesiredWeight: 10}},
		{"set_header_route", "SetHeaderRoute", pluginrpc.SetHeaderArgs{Rollout: *small, SetHeaderRoute: *header}},
		{"set_mirror_route", "SetMirrorRoute", pluginrpc.SetMirrorArgs{Rollout: *small, SetMirrorRoute: *mirror}},
	} {
		// As net/rpc's gob codec does; the arguments travel as an interface.
		var sent bytes.Buffer
		stream := gob.NewEncoder(&sent)
		if err := stream.Encode(&rpc.Request{ServiceMethod: "Plugin." + call.method, Seq: 1}); err != nil {
			return err
		}
		if err := stream.Encode(&call.args); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, call.file+".gob"), sent.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
