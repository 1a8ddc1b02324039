package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goPlugin "github.com/hashicorp/go-plugin"

	pluginrpc "github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// plugin is a running process with the controller's own client for it.
type plugin struct {
	contestant
	client *goPlugin.Client
	router pluginrpc.TrafficRouterPlugin
	pid    int
	// ready is from the start of the process to the answer of InitPlugin.
	ready time.Duration
	began time.Time
}

// start does what the controller does before a plugin's first call (`startPluginLocked` of Argo's
// plugin client, which runs one process per name and never ends it).
func start(contestant contestant) (*plugin, error) {
	began := time.Now()
	client := goPlugin.NewClient(&goPlugin.ClientConfig{
		HandshakeConfig: goPlugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "ARGO_ROLLOUTS_RPC_PLUGIN",
			MagicCookieValue: "trafficrouter",
		},
		Plugins: map[string]goPlugin.Plugin{"RpcTrafficRouterPlugin": &pluginrpc.RpcTrafficRouterPlugin{}},
		Cmd:     exec.Command(contestant.program, contestant.args...),
		Managed: true,
		// The plugin's lines are read, and not printed.
		Logger: hclog.NewNullLogger(),
	})
	protocol, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, err
	}
	dispensed, err := protocol.Dispense("RpcTrafficRouterPlugin")
	if err != nil {
		client.Kill()
		return nil, err
	}
	router, ok := dispensed.(pluginrpc.TrafficRouterPlugin)
	if !ok {
		client.Kill()
		return nil, fmt.Errorf("not a traffic router: %T", dispensed)
	}
	if err := failure(router.InitPlugin()); err != nil {
		client.Kill()
		return nil, err
	}
	return &plugin{
		contestant: contestant, client: client, router: router, pid: client.ReattachConfig().Pid,
		ready: time.Since(began), began: began,
	}, nil
}

// memory in KiB: all resident pages, and those of them that are the process's own (not its file's).
func (p *plugin) memory() (resident, anonymous float64, err error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "VmRSS":
			resident, err = strconv.ParseFloat(fields[0], 64)
		case "RssAnon":
			anonymous, err = strconv.ParseFloat(fields[0], 64)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if resident == 0 {
		return 0, 0, fmt.Errorf("%s has no VmRSS: it has ended", p.title)
	}
	return resident, anonymous, nil
}

// cpu is how long the process's threads have run so far.
func (p *plugin) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, thread := range threads {
		content, err := os.ReadFile(thread)
		if err != nil {
			continue // It has ended
		}
		first, _, _ := strings.Cut(string(content), " ")
		ran, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ran)
	}
	return sum, nil
}

func failure(answer types.RpcError) error {
	if answer.HasError() {
		return answer
	}
	return nil
}

func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(content))
	return strings.Join(fields[:min(3, len(fields))], " ")
}
