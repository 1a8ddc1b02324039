package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	goPlugin "github.com/hashicorp/go-plugin"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/client"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// notCarried are the parts of a Rollout that the crate argo-rollouts says it does not carry. "*"
// is any list index.
var notCarried = []string{
	"kind", "apiVersion",
	"metadata.selfLink", "metadata.managedFields",
	"spec.template.metadata.selfLink", "spec.template.metadata.managedFields",
	"spec.template.spec",
	"spec.analysis",
	"spec.strategy.canary.analysis", "spec.strategy.canary.antiAffinity",
	"spec.strategy.canary.trafficRouting.nginx", "spec.strategy.canary.trafficRouting.alb",
	"spec.strategy.canary.trafficRouting.smi", "spec.strategy.canary.trafficRouting.ambassador",
	"spec.strategy.canary.trafficRouting.appMesh", "spec.strategy.canary.trafficRouting.traefik",
	"spec.strategy.canary.trafficRouting.apisix",
	"spec.strategy.canary.steps.*.analysis.args", "spec.strategy.canary.steps.*.analysis.dryRun",
	"spec.strategy.canary.steps.*.analysis.measurementRetention",
	"spec.strategy.canary.steps.*.analysis.analysisRunMetadata",
	"spec.strategy.canary.steps.*.experiment.analyses",
	"spec.strategy.canary.steps.*.experiment.dryRun",
	"spec.strategy.canary.steps.*.experiment.analysisRunMetadata",
	"spec.strategy.blueGreen.previewReplicaCount", "spec.strategy.blueGreen.autoPromotionEnabled",
	"spec.strategy.blueGreen.autoPromotionSeconds", "spec.strategy.blueGreen.maxUnavailable",
	"spec.strategy.blueGreen.scaleDownDelaySeconds",
	"spec.strategy.blueGreen.scaleDownDelayRevisionLimit",
	"spec.strategy.blueGreen.prePromotionAnalysis", "spec.strategy.blueGreen.antiAffinity",
	"spec.strategy.blueGreen.postPromotionAnalysis", "spec.strategy.blueGreen.previewMetadata",
	"spec.strategy.blueGreen.activeMetadata", "spec.strategy.blueGreen.abortScaleDownDelaySeconds",
	"status.blueGreen", "status.alb", "status.albs",
	"status.canary.currentStepAnalysisRunStatus",
	"status.canary.currentBackgroundAnalysisRunStatus", "status.canary.stepPluginStatuses",
}

func checkAll() error {
	router, err := client.GetTrafficPlugin(name)
	if err != nil {
		return err
	}
	for _, check := range []struct {
		what string
		run  func(rpc.TrafficRouterPlugin) error
	}{
		{"full arguments", checkFull},
		{"zero arguments", checkZero},
		{"pointers to zero", checkPointersToZero},
		{"answers", checkAnswers},
		{"10,000 calls from 20 goroutines", checkConcurrent},
		{"unknown arguments", checkUnknown},
		{"large arguments", checkLarge},
		{"idle streams", checkIdle},
	} {
		if err := check.run(router); err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
		fmt.Println("ok:", check.what)
	}
	if err := checkLife(); err != nil {
		return fmt.Errorf("life: %w", err)
	}
	fmt.Println("ok: ping, kill, restart, sockets gone")
	return nil
}

func checkFull(router rpc.TrafficRouterPlugin) error {
	rollout := largeRollout()
	destinations := filled[[]v1alpha1.WeightDestination](7, 3)
	header := filled[v1alpha1.SetHeaderRoute](8, 3)
	mirror := filled[v1alpha1.SetMirrorRoute](9, 3)
	for what, call := range map[string]struct {
		got  types.RpcError
		want map[string]any
	}{
		"UpdateHash": {router.UpdateHash(rollout, "canary-hash", "stable-hash", *destinations), map[string]any{
			"canaryHash": "canary-hash", "stableHash": "stable-hash", "additionalDestinations": destinations,
		}},
		"SetWeight": {router.SetWeight(rollout, 37, *destinations), map[string]any{
			"desiredWeight": 37, "additionalDestinations": destinations,
		}},
		"SetHeaderRoute":      {router.SetHeaderRoute(rollout, header), map[string]any{"setHeaderRoute": header}},
		"SetMirrorRoute":      {router.SetMirrorRoute(rollout, mirror), map[string]any{"setMirrorRoute": mirror}},
		"RemoveManagedRoutes": {router.RemoveManagedRoutes(rollout), map[string]any{}},
	} {
		call.want["rollout"] = rollout
		if err := compare(call.want, call.got.ErrorString); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func checkZero(router rpc.TrafficRouterPlugin) error {
	rollout := &v1alpha1.Rollout{}
	for what, got := range map[string]types.RpcError{
		"UpdateHash":          router.UpdateHash(rollout, "", "", nil),
		"SetWeight":           router.SetWeight(rollout, 0, nil),
		"SetHeaderRoute":      router.SetHeaderRoute(rollout, &v1alpha1.SetHeaderRoute{}),
		"SetMirrorRoute":      router.SetMirrorRoute(rollout, &v1alpha1.SetMirrorRoute{}),
		"RemoveManagedRoutes": router.RemoveManagedRoutes(rollout),
	} {
		if err := compare(map[string]any{"rollout": rollout}, got.ErrorString); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if verified, err := router.VerifyWeight(rollout, 0, nil); verified != types.NotVerified || err.HasError() {
		return fmt.Errorf("VerifyWeight: %v, %v", verified, err)
	}
	return nil
}

// checkPointersToZero shows what gob loses, so that a change of it is seen, and what is restored.
func checkPointersToZero(router rpc.TrafficRouterPlugin) error {
	zero, verified := int32(0), false
	rollout := &v1alpha1.Rollout{}
	rollout.Spec.Replicas = &zero
	rollout.Status.CurrentStepIndex = &zero
	rollout.Status.Canary.Weights = &v1alpha1.TrafficWeights{Verified: &verified}
	rollout.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{
		Steps: []v1alpha1.CanaryStep{{SetWeight: &zero}, {Pause: &v1alpha1.RolloutPause{}}},
	}
	var read struct {
		Rollout v1alpha1.Rollout
	}
	if err := json.Unmarshal([]byte(router.RemoveManagedRoutes(rollout).ErrorString), &read); err != nil {
		return err
	}
	got := read.Rollout
	if got.Spec.Replicas != nil || got.Status.Canary.Weights == nil || got.Status.Canary.Weights.Verified != nil {
		return fmt.Errorf("a pointer to zero came through: %+v", got)
	}
	if index := got.Status.CurrentStepIndex; index == nil || *index != 0 {
		return fmt.Errorf("currentStepIndex: 0 was lost: %+v", got.Status)
	}
	steps := got.Spec.Strategy.Canary.Steps
	if len(steps) != 2 || steps[0].SetWeight == nil || *steps[0].SetWeight != 0 || steps[1].SetWeight != nil {
		return fmt.Errorf("setWeight: 0 was lost: %+v", steps)
	}
	return nil
}

func checkAnswers(router rpc.TrafficRouterPlugin) error {
	if got := router.Type(); got != "Echo" {
		return fmt.Errorf("Type: %q", got)
	}
	for weight, want := range map[int32]types.RpcVerified{
		3: types.NotVerified, 4: types.Verified, 5: types.NotImplemented,
	} {
		if got, err := router.VerifyWeight(smallRollout(), weight, nil); got != want || err.HasError() {
			return fmt.Errorf("VerifyWeight(%d): %v, %v", weight, got, err)
		}
	}
	if got, err := router.VerifyWeight(smallRollout(), -7, nil); got != types.NotVerified ||
		err.ErrorString != `{"desiredWeight":-7}` {
		return fmt.Errorf("VerifyWeight(-7): %v, %v", got, err)
	}
	if err := router.SetWeight(smallRollout(), 10, nil); err.HasError() {
		return fmt.Errorf("SetWeight: %v", err)
	}
	return nil
}

// checkConcurrent makes 10,000 calls from 20 goroutines, each of which has to get its own answer.
func checkConcurrent(router rpc.TrafficRouterPlugin) error {
	const goroutines, calls = 20, 500
	large := largeRollout()
	errs := make(chan error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range calls {
				weight := int32(g*calls + i)
				rollout := &v1alpha1.Rollout{}
				if i%50 == 0 {
					rollout = large
				}
				var read struct{ DesiredWeight int32 }
				got := router.SetWeight(rollout, weight, nil).ErrorString
				if err := json.Unmarshal([]byte(got), &read); err != nil || read.DesiredWeight != weight {
					errs <- fmt.Errorf("call %d: %.200s: %v", weight, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// checkUnknown calls what the controller never would, past its client.
func checkUnknown(rpc.TrafficRouterPlugin) error {
	raw, err := dispense()
	if err != nil {
		return err
	}
	defer raw.process.Kill()
	var reply types.RpcError
	var none any
	if err := raw.rpc.Call("Plugin.SetWeight", &none, &reply); err != nil {
		return fmt.Errorf("nil arguments: %w", err)
	}
	if err := compare(map[string]any{"rollout": &v1alpha1.Rollout{}}, reply.ErrorString); err != nil {
		return fmt.Errorf("nil arguments: %w", err)
	}
	var wrong any = rpc.RemoveManagedRoutesArgs{}
	err = raw.rpc.Call("Plugin.SetWeight", &wrong, &reply)
	if err == nil || !strings.Contains(err.Error(), `"RemoveManagedRoutesArgs"`) {
		return fmt.Errorf("arguments of another method: %v", err)
	}
	if err = raw.rpc.Call("Plugin.SetWeight", 7, &reply); err == nil {
		return fmt.Errorf("a number for arguments was taken")
	}
	if err = raw.rpc.Call("Plugin.Nothing", &none, &reply); err == nil || !strings.Contains(err.Error(), "can't find method") {
		return fmt.Errorf("unknown method: %v", err)
	}
	if _, err = raw.client.Dispense("RpcTrafficRouterPlugin"); err != nil {
		return fmt.Errorf("dispensing again: %w", err)
	}
	// The stream still works.
	if err := raw.rpc.Call("Plugin.RemoveManagedRoutes", &wrong, &reply); err != nil {
		return fmt.Errorf("after errors: %w", err)
	}
	return nil
}

// checkLarge sends what etcd would just keep, then what nobody should.
func checkLarge(router rpc.TrafficRouterPlugin) error {
	rollout := &v1alpha1.Rollout{}
	rollout.Annotations = map[string]string{"large": strings.Repeat("0123456789abcdef", 3<<20/16)}
	if err := compare(map[string]any{"rollout": rollout}, router.RemoveManagedRoutes(rollout).ErrorString); err != nil {
		return err
	}
	raw, err := dispense()
	if err != nil {
		return err
	}
	defer raw.process.Kill()
	rollout.Annotations["large"] = strings.Repeat("0123456789abcdef", 17<<20/16)
	var reply types.RpcError
	var args any = rpc.RemoveManagedRoutesArgs{Rollout: *rollout}
	if err := raw.rpc.Call("Plugin.RemoveManagedRoutes", &args, &reply); err == nil {
		return fmt.Errorf("17 MiB were taken")
	}
	// The controller finds a dead plugin by its ping, and starts it again.
	if err := raw.client.Ping(); err == nil {
		return fmt.Errorf("a plugin that takes no more calls answers pings")
	}
	return nil
}

// checkLife follows the controller through a plugin's death.
func checkLife() error {
	first, err := pluginPid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		return err
	}
	// The controller finds out at its next use, by the exit or by the ping, and starts it again.
	var router rpc.TrafficRouterPlugin
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if router, err = client.GetTrafficPlugin(name); err == nil {
			if second, err := pluginPid(); err == nil && second != first {
				break
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not restarted: %w", err)
		}
	}
	if got := router.Type(); got != "Echo" {
		return fmt.Errorf("after the restart: %q", got)
	}
	second, err := pluginPid()
	if err != nil {
		return err
	}
	// What the dead one left behind is its own; a living one cleans up when told to quit.
	before, err := sockets()
	if err != nil {
		return err
	}
	goPlugin.CleanupClients() // Managed clients, as the controller does at its end
	if alive(second) {
		return fmt.Errorf("process %d lives on after Kill", second)
	}
	after, err := sockets()
	if err != nil {
		return err
	}
	if len(after) != len(before)-1 {
		return fmt.Errorf("sockets before Kill %v, after %v", before, after)
	}
	return nil
}

func sockets() ([]string, error) {
	return filepath.Glob(filepath.Join(workdir, "tmp", "*", "*"))
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// pluginPid is the one child that runs the plugin through the controller's link.
func pluginPid() (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		// pid (name) state ppid
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && fields[0] != "Z" {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no plugin process")
}

// compare holds what the plugin read, as JSON, against what was sent, as the API would show it.
func compare(sent map[string]any, read string) error {
	text, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	var want, got any
	if err := json.Unmarshal(text, &want); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(read), &got); err != nil {
		return fmt.Errorf("%.300s: %w", read, err)
	}
	for _, path := range notCarried {
		remove(want, append([]string{"rollout"}, strings.Split(path, ".")...))
	}
	return differ("", tidy(want), tidy(got))
}

func remove(v any, path []string) {
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
		} else {
			remove(v[path[0]], path[1:])
		}
	case []any:
		for _, e := range v {
			remove(e, path[1:])
		}
	}
}

// tidy removes what Go's omitempty would: the two sides differ in what they leave out. An empty
// step stays in its list, so that they stay aligned.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if e = tidy(e); e == nil {
				delete(v, key)
			} else {
				v[key] = e
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i, e := range v {
			v[i] = tidy(e)
		}
		if len(v) == 0 {
			return nil
		}
	default:
		if v == nil || reflect.ValueOf(v).IsZero() {
			return nil
		}
	}
	return v
}

func differ(path string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for key := range w {
			if err := differ(path+"."+key, w[key], g[key]); err != nil {
				return err
			}
		}
		for key := range g {
			if _, ok := w[key]; !ok {
				return fmt.Errorf("%s.%s: not sent, read %v", path, key, g[key])
			}
		}
		return nil
	case []any:
		g, _ := got.([]any)
		if len(w) != len(g) {
			return fmt.Errorf("%s: sent %d elements, read %d", path, len(w), len(g))
		}
		for i := range w {
			if err := differ(fmt.Sprintf("%s[%d]", path, i), w[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%s: sent %v, read %v", path, want, got)
	}
	return nil
}
