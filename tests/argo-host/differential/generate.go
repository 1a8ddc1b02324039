package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// Names that all sequences share.
const (
	stableService = "reviews-stable"
	canaryService = "reviews-canary"
	subsetHost    = "reviews"
	canarySubset  = "canary"
	stableSubset  = "stable"
	versionOne    = "aaa111"
	versionTwo    = "bbb222"
	versionThree  = "ccc333"
	// additionalSubset is of `additionalSubsetNames`.
	additionalSubset = "kept"
)

// allHashes are the ReplicaSets that each namespace has.
var allHashes = []string{versionOne, versionTwo, versionThree, "exp444", "exp555"}

// generator makes one sequence.
type generator struct {
	*rand.Rand
	s       *sequence
	maximum int32
	// subsets, services: which levels the split has.
	subsets, services bool
	experiments       bool
	// additionalSubset: one of the DestinationRule's subsets is another's, and keeps its weight.
	additionalSubset bool
	// elsewhere: the VirtualService is in the second namespace.
	elsewhere bool
	// foreign: a destination is none of the Rollout's, though its host begins as one.
	foreign bool
	at      state
	calls   []call
	rollout string
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// rolloutName is the name of a generated sequence's Rollout.
func rolloutName(index int) string { return fmt.Sprintf("r%d", index) }

// generate makes the sequence of that index.
func generate(seed uint64, index int) *sequence {
	g := &generator{rollout: rolloutName(index), Rand: rand.New(rand.NewPCG(seed, uint64(index))), maximum: 100}
	g.s = &sequence{
		Name:            fmt.Sprintf("-seed %d -from %d -sequences 1", seed, index),
		VirtualServices: map[string]object{}, DestinationRules: map[string]object{},
	}
	traffic := &v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{}}
	g.s.Canary = v1alpha1.CanaryStrategy{TrafficRouting: traffic}
	switch g.IntN(4) {
	case 0, 1:
		g.services = true
	case 2:
		g.subsets = true
	case 3:
		g.subsets, g.services = true, true
	}
	if g.chance(15) {
		g.maximum = pick(g, int32(1000), 50, 10000)
		traffic.MaxTrafficWeight = &g.maximum
	}
	if g.services {
		if g.chance(15) {
			g.s.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: canaryService, PongService: stableService}
			if g.chance(50) {
				g.s.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: stableService, PongService: canaryService}
				g.at.StablePng = string(v1alpha1.PPPing)
			}
		} else {
			g.s.Canary.StableService, g.s.Canary.CanaryService = stableService, canaryService
		}
	}
	g.s.Canary.DynamicStableScale = g.chance(25)
	g.experiments = g.chance(25)
	g.additionalSubset = g.subsets && g.chance(20)
	managed := g.chance(30)
	count := 1
	if g.chance(25) {
		count = 2 + g.IntN(2)
	}
	for i := range count {
		g.virtualService(i, count > 1, managed)
	}
	if g.subsets {
		g.destinationRule()
	}
	if managed {
		for _, name := range managedNames {
			traffic.ManagedRoutes = append(traffic.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
		}
		g.Shuffle(3, func(i, j int) {
			all := traffic.ManagedRoutes
			all[i], all[j] = all[j], all[i]
		})
	}
	g.steps(managed)
	if g.chance(25) {
		g.at.Current, g.at.Stable = versionTwo, versionOne
		g.at.Pods = map[string]int32{versionOne: wantedPods, versionTwo: wantedPods}
		g.anything()
	} else {
		g.life()
	}
	if managed && len(g.s.lanesOfSteps()) > 0 && g.chance(25) && g.declarable() {
		g.s.Lanes = declared
	}
	g.s.Calls = g.calls
	return g.s
}

func (g *generator) virtualService(index int, several, managed bool) {
	name := fmt.Sprintf("vs%d", index)
	if g.elsewhere = g.chance(10); g.elsewhere {
		name += "." + elsewhere
	}
	spec := object{"hosts": []any{fmt.Sprintf("reviews%d.example.com", index)}, "gateways": []any{"mesh", "public"}}
	reference := v1alpha1.IstioVirtualService{Name: name}
	kinds := [][]string{{"http"}, {"http"}, {"http"}, {"http", "tls"}, {"http", "tcp"}, {"http", "tls", "tcp"}, {"tls"}, {"tcp"}, {"tls", "tcp"}}
	if managed {
		kinds = kinds[:6]
	}
	for _, protocol := range pick(g, kinds...) {
		switch protocol {
		case "http":
			spec["http"] = g.http(&reference)
		case "tls":
			spec["tls"] = g.tls(&reference)
		case "tcp":
			spec["tcp"] = g.tcp(&reference)
		}
	}
	g.odd(spec, &reference, managed)
	g.s.VirtualServices[name] = spec
	istio := g.s.istio()
	if several {
		istio.VirtualServices = append(istio.VirtualServices, reference)
	} else {
		istio.VirtualService = &reference
	}
}

func (g *generator) destinationRule() {
	block := &v1alpha1.IstioDestinationRule{Name: "reviews", CanarySubsetName: canarySubset, StableSubsetName: stableSubset}
	policy := object{"connectionPool": object{"tcp": object{"maxConnections": int64(10)}}}
	subset := func(name string) object {
		one := object{"name": name, "labels": object{"app": "reviews"}}
		if g.chance(40) {
			inner(one, "labels")[v1alpha1.DefaultRolloutUniqueLabelKey] = pick(g, versionOne, versionTwo)
		}
		if g.chance(20) {
			delete(one, "labels")
		}
		if g.chance(30) {
			one["trafficPolicy"] = policy
		}
		return one
	}
	all := []object{subset(canarySubset), subset(stableSubset)}
	if g.chance(30) {
		all = append(all, subset("others"))
	}
	if g.additionalSubset {
		all = append(all, object{"name": additionalSubset, "labels": object{"version": "kept"}})
		block.AdditionalSubsetNames = []string{additionalSubset}
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	spec := object{"host": subsetHost, "subsets": unlist(all)}
	if g.chance(30) {
		spec["trafficPolicy"] = object{"tls": object{"mode": "ISTIO_MUTUAL"}}
	}
	if g.chance(20) {
		spec["exportTo"] = []any{"."}
	}
	g.s.DestinationRules["reviews"] = spec
	g.s.istio().DestinationRule = block
}
