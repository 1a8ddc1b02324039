package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	goPlugin "github.com/hashicorp/go-plugin"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	pluginrpc "github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// bench prints the time of one SetWeight that does nothing, for a small and a large Rollout: the
// first on a connection, which brings the types along, and the later ones.
func bench(calls int) error {
	large := largeRollout()
	large.Name = "quiet"
	for _, size := range []struct {
		name    string
		rollout *v1alpha1.Rollout
	}{{"small", smallRollout()}, {"large", large}} {
		started := time.Now()
		raw, err := dispense()
		if err != nil {
			return err
		}
		start := time.Since(started)
		var times []time.Duration
		for range calls + 1 {
			var args any = pluginrpc.SetWeightAndVerifyWeightArgs{Rollout: *size.rollout, DesiredWeight: 10}
			var reply types.RpcError
			began := time.Now()
			if err := raw.rpc.Call("Plugin.SetWeight", &args, &reply); err != nil {
				return err
			}
			if reply.HasError() {
				return reply
			}
			times = append(times, time.Since(began))
		}
		raw.process.Kill()
		first, rest := times[0], times[1:]
		slices.Sort(rest)
		fmt.Printf("%s: start to dispensed %v; first call %v; then median %v, 99th %v\n",
			size.name, start.Round(time.Millisecond), first.Round(time.Microsecond),
			rest[len(rest)/2].Round(time.Microsecond), rest[len(rest)*99/100].Round(time.Microsecond))
	}
	return nil
}

// quiet is the echo plugin in Go, as far as the benchmark calls it.
type quiet struct{}

func (quiet) InitPlugin() types.RpcError { return types.RpcError{} }
func (quiet) UpdateHash(*v1alpha1.Rollout, string, string, []v1alpha1.WeightDestination) types.RpcError {
	return types.RpcError{}
}
func (quiet) SetWeight(*v1alpha1.Rollout, int32, []v1alpha1.WeightDestination) types.RpcError {
	return types.RpcError{}
}
func (quiet) SetHeaderRoute(*v1alpha1.Rollout, *v1alpha1.SetHeaderRoute) types.RpcError {
	return types.RpcError{}
}
func (quiet) SetMirrorRoute(*v1alpha1.Rollout, *v1alpha1.SetMirrorRoute) types.RpcError {
	return types.RpcError{}
}
func (quiet) VerifyWeight(*v1alpha1.Rollout, int32, []v1alpha1.WeightDestination) (types.RpcVerified, types.RpcError) {
	return types.Verified, types.RpcError{}
}
func (quiet) RemoveManagedRoutes(*v1alpha1.Rollout) types.RpcError { return types.RpcError{} }
func (quiet) Type() string                                         { return "Quiet" }

func servePlugin() {
	goPlugin.Serve(&goPlugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins: map[string]goPlugin.Plugin{
			"RpcTrafficRouterPlugin": &pluginrpc.RpcTrafficRouterPlugin{Impl: quiet{}},
		},
	})
	os.Exit(0)
}
