package main

import (
	"fmt"
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

func (g *generator) steps(managed bool) {
	var steps []v1alpha1.CanaryStep
	weight := int32(0)
	for range 2 + g.IntN(4) {
		switch {
		case managed && g.chance(30):
			route := &v1alpha1.SetHeaderRoute{Name: "beta"}
			if !g.chance(25) {
				route.Match = []v1alpha1.HeaderRoutingMatch{{HeaderName: "x-beta", HeaderValue: pick(g,
					&v1alpha1.StringMatch{Exact: "1"}, &v1alpha1.StringMatch{Prefix: "a"}, &v1alpha1.StringMatch{Regex: "[a-z]+"})}}
			}
			steps = append(steps, v1alpha1.CanaryStep{SetHeaderRoute: route})
		case managed && g.chance(30):
			route := &v1alpha1.SetMirrorRoute{Name: "shadow"}
			if !g.chance(25) {
				route.Match = []v1alpha1.RouteMatch{{Path: &v1alpha1.StringMatch{Prefix: "/"}, Method: &v1alpha1.StringMatch{Exact: "GET"}}}
			}
			if g.chance(50) {
				percent := int32(1 + g.IntN(100))
				route.Percentage = &percent
			}
			steps = append(steps, v1alpha1.CanaryStep{SetMirrorRoute: route})
		case g.chance(20):
			steps = append(steps, v1alpha1.CanaryStep{Pause: &v1alpha1.RolloutPause{}})
		default:
			weight = g.Int32N(g.maximum + 1)
			set := weight
			steps = append(steps, v1alpha1.CanaryStep{SetWeight: &set})
		}
	}
	g.s.Canary.Steps = steps
}

// life walks the Rollout as the controller does, with calls in its order.
func (g *generator) life() {
	g.at.Current, g.at.Stable = versionTwo, versionOne
	g.at.Pods = map[string]int32{versionOne: wantedPods, versionTwo: g.Int32N(wantedPods + 1)}
	if g.experiments {
		g.at.Pods["exp444"], g.at.Pods["exp555"] = g.Int32N(wantedPods+1), wantedPods
	}
	reconciles := 3 + g.IntN(3)
	step := int32(0)
	for turn := range reconciles {
		g.at.Step = &step
		switch {
		case turn > 0 && g.chance(8):
			g.at.Abort = true
		case turn > 0 && g.chance(8):
			g.at.Promote = true
			g.pods(g.at.Current, g.Int32N(wantedPods+2))
		case turn > 0 && g.chance(8):
			g.at.Stable = g.at.Current
		case turn > 0 && g.chance(6) && g.at.Current == versionTwo:
			g.at.Current = versionThree
			g.pods(versionThree, g.Int32N(wantedPods+1))
		case g.chance(15):
			g.pods(g.at.Current, g.Int32N(wantedPods+1))
		case turn > 0:
			g.pods(g.at.Current, wantedPods)
			if int(step) < len(g.s.Canary.Steps) {
				step++
			}
		}
		at := step
		g.at.Step = &at
		g.reconcile()
	}
	g.emit(call{Method: removeManagedRoutes})
}

func (g *generator) pods(hash string, count int32) {
	next := map[string]int32{}
	for key, value := range g.at.Pods {
		next[key] = value
	}
	next[hash] = count
	g.at.Pods = next
}

func (g *generator) emit(c call) {
	c.State = g.at
	g.calls = append(g.calls, c)
}

// reconcile makes the calls of one reconcileTrafficRouting of the controller.
func (g *generator) reconcile() {
	weight := int32(0)
	var additional []v1alpha1.WeightDestination
	hasPods := g.at.hasPods(g.at.Current)
	step := int(*g.at.Step)
	switch {
	case g.at.Stable == g.at.Current, g.at.Abort:
		g.emit(call{Method: removeManagedRoutes})
	case !hasPods:
		g.emit(call{Method: removeManagedRoutes})
		additional = g.additional(0)
	case g.at.Promote:
		// As with dynamicStableScale, where there may be more pods than are wanted.
		weight = g.maximum * g.at.Pods[g.at.Current] / wantedPods
		g.emit(call{Method: removeManagedRoutes})
	case step == len(g.s.Canary.Steps):
		weight = g.maximum
	default:
		for _, earlier := range g.s.Canary.Steps[:step+1] {
			if earlier.SetWeight != nil {
				weight = *earlier.SetWeight
			}
		}
		additional = g.additional(weight)
	}
	if step < len(g.s.Canary.Steps) {
		current := g.s.Canary.Steps[step]
		if current.SetHeaderRoute != nil {
			g.emit(call{Method: setHeaderRoute, Header: current.SetHeaderRoute})
		}
		if current.SetMirrorRoute != nil {
			g.emit(call{Method: setMirrorRoute, Mirror: current.SetMirrorRoute})
		}
	}
	if !hasPods && g.chance(50) {
		// It lowers a weight before the hash follows.
		g.emit(call{Method: setWeight, Weight: weight, Additional: additional})
	}
	g.emit(call{Method: updateHash, Canary: g.at.Current, Stable: g.at.Stable, Additional: additional})
	g.emit(call{Method: setWeight, Weight: weight, Additional: additional})
	if g.chance(40) {
		g.emit(call{Method: verifyWeight, Weight: weight, Additional: additional})
	}
}

// additional are experiments that take weight from stable.
func (g *generator) additional(weight int32) []v1alpha1.WeightDestination {
	if !g.experiments || g.chance(40) {
		return nil
	}
	left := g.maximum - weight
	all := []v1alpha1.WeightDestination{}
	for i := range 1 + g.IntN(2) {
		share := int32(1 + g.IntN(20))
		if share > left {
			break
		}
		left -= share
		all = append(all, v1alpha1.WeightDestination{
			ServiceName: fmt.Sprintf("%s-%s-2-0-exp%d", g.rollout, g.at.Current, i), PodTemplateHash: allHashes[3+i], Weight: share,
		})
	}
	if g.chance(50) {
		slices.Reverse(all)
	}
	return all
}
