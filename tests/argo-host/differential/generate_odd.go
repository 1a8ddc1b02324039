package main

import (
	"fmt"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// What users seldom write, and what a controller never sends.

// managedNames are the names of the header and mirror routes; the last one is in no step.
var managedNames = []string{"beta", "shadow", "never"}

// odd changes a VirtualService that is otherwise as most are.
func (g *generator) odd(spec object, reference *v1alpha1.IstioVirtualService, managed bool) {
	if _, found := spec["tls"]; !found {
		if g.chance(6) {
			reference.TLSRoutes = []v1alpha1.TLSRoute{{Port: 443, SNIHosts: []string{"nobody.example.com"}}}
		}
		g.nothing(spec, "tls")
	}
	if _, found := spec["tcp"]; !found {
		if g.chance(6) {
			reference.TCPRoutes = []v1alpha1.TCPRoute{{Port: 70}}
		}
		g.nothing(spec, "tcp")
	}
	if _, found := spec["http"]; !found {
		if g.chance(10) {
			reference.Routes = []string{"nobody"}
		}
		if g.chance(10) {
			spec["http"] = []any{}
		}
		return
	}
	if !managed && g.chance(1) {
		delete(spec, "http")
		return
	}
	routes := list(spec["http"])
	for i, route := range routes {
		if g.chance(3) && route["route"] != nil {
			delete(route, "fault")
			delete(route, "rewrite")
			field := pick(g, "redirect", "directResponse", "delegate")
			route[field] = map[string]object{
				"redirect": {"uri": "/elsewhere"}, "directResponse": {"status": int64(503)}, "delegate": {"name": "other"},
			}[field]
		}
		if g.chance(4) {
			route[pick(g, "headers", "retries", "corsPolicy")] = object{}
		}
		// Above a managed route it would take the requests of every header and mirror step.
		if g.chance(3) && (!managed || i == len(routes)-1) {
			route["match"] = pick(g, []any{}, []any{object{}})
		}
	}
	if g.chance(2) {
		routes = append(routes, object{"name": "empty"})
		if len(reference.Routes) == 0 && g.chance(50) {
			reference.Routes = []string{text(routes[0]["name"])}
		}
	}
	spec["http"] = unlist(routes)
	switch {
	case managed && g.chance(20):
		g.own(routes, reference)
	case managed && g.chance(25):
		spec["http"] = unlist(append(g.leftover(routes), routes...))
	}
}

// nothing is a protocol's list that says nothing.
func (g *generator) nothing(spec object, protocol string) {
	if g.chance(4) {
		spec[protocol] = []any{}
	} else if g.chance(3) {
		spec[protocol] = nil
	}
}

// own gives a route that the Rollout moves the name of a managed one.
func (g *generator) own(routes []object, reference *v1alpha1.IstioVirtualService) {
	name := pick(g, managedNames...)
	for _, route := range routes {
		old := text(route["name"])
		if old == "" && len(routes) > 1 || route["route"] == nil {
			continue
		}
		for i, one := range reference.Routes {
			if one == old {
				reference.Routes[i] = name
				route["name"] = name
				g.mirror(route)
				return
			}
		}
		if len(routes) == 1 && len(reference.Routes) == 0 {
			route["name"] = name
			g.mirror(route)
		}
	}
}

func (g *generator) mirror(route object) {
	if g.chance(60) {
		delete(route, "mirrors")
		route["mirror"] = object{"host": "audit"}
		route["mirrorPercentage"] = object{"value": int64(10)}
	}
}

// leftover are routes as the built-in leaves them where a Rollout is moved in mid-canary.
func (g *generator) leftover(routes []object) []object {
	var source object
	for _, route := range routes {
		if len(list(route["route"])) > 1 {
			source = deepCopy(route)
		}
	}
	if source == nil {
		return nil
	}
	var canary object
	for _, one := range list(source["route"]) {
		target := inner(one, "destination")
		if text(target["subset"]) == canarySubset || text(target["subset"]) == "" && service(one) == canaryService && !g.foreign {
			canary = target
		}
	}
	if canary == nil {
		return nil
	}
	var left []object
	if g.chance(60) {
		left = append(left, object{"name": "shadow", "match": []any{object{"uri": object{"prefix": "/api"}}}, "route": source["route"],
			"mirror": canary, "mirrorPercentage": object{"value": int64(100)}})
	}
	if len(left) == 0 || g.chance(50) {
		left = append(left, object{"name": pick(g, "beta", "never"), "match": []any{object{"headers": object{"x-beta": object{"exact": "1"}}}},
			"route": []any{object{"destination": canary, "weight": int64(100)}}})
	}
	return left
}

// oddDestinations adds to a route's destinations.
func (g *generator) oddDestinations(all []object) []object {
	if g.chance(6) {
		another := deepCopy(all[g.IntN(2)])
		if g.chance(50) {
			inner(another, "destination")["port"] = object{"number": int64(9999)}
		}
		all = append(all, another)
	}
	if g.additionalSubset && g.chance(60) {
		all = append(all, object{
			"destination": object{"host": g.host(pick(g, subsetHost, subsetHost, stableService, canaryService)), "subset": additionalSubset},
			"weight":      int64(g.IntN(40)),
		})
	}
	if g.subsets && g.services && g.chance(2) {
		inner(all[0], "destination")["host"] = g.host(canaryService)
	}
	return all
}

// anything makes calls in any order, with any arguments, while anything happens to the Rollout.
func (g *generator) anything() {
	for range 6 + g.IntN(8) {
		switch g.IntN(8) {
		case 0:
			g.pods(pick(g, allHashes...), g.Int32N(wantedPods+1))
		case 1:
			g.at.Current = pick(g, versionOne, versionTwo, versionThree)
		case 2:
			g.at.Stable = pick(g, versionOne, versionTwo, versionThree)
		case 3:
			g.at.Abort = g.chance(50)
		case 4:
			g.at.Promote = g.chance(50)
		default:
			step := g.Int32N(int32(len(g.s.Canary.Steps)) + 1)
			g.at.Step = &step
		}
		weight := pick(g, 0, g.maximum, g.Int32N(g.maximum+1), g.Int32N(g.maximum+1), g.Int32N(g.maximum+1))
		if g.chance(5) {
			weight = pick(g, -1, g.maximum+1, 2*g.maximum)
		}
		additional := g.anyAdditional()
		steps := []v1alpha1.CanaryStep{{}}
		if len(g.s.Canary.TrafficRouting.ManagedRoutes) > 0 {
			steps = append(steps, g.s.Canary.Steps...)
		}
		step := pick(g, steps...)
		switch {
		case step.SetHeaderRoute != nil:
			g.emit(call{Method: setHeaderRoute, Header: step.SetHeaderRoute})
		case step.SetMirrorRoute != nil:
			g.emit(call{Method: setMirrorRoute, Mirror: step.SetMirrorRoute})
		}
		switch g.IntN(6) {
		case 0, 1:
			hashes := append([]string{""}, allHashes[:3]...)
			g.emit(call{Method: updateHash, Canary: pick(g, hashes...), Stable: pick(g, hashes...), Additional: additional})
		case 2:
			g.emit(call{Method: removeManagedRoutes})
		case 3:
			g.emit(call{Method: verifyWeight, Weight: weight, Additional: additional})
		default:
			g.emit(call{Method: setWeight, Weight: weight, Additional: additional})
		}
	}
}

// anyAdditional are experiments that need not leave anything over.
func (g *generator) anyAdditional() []v1alpha1.WeightDestination {
	if !g.experiments || g.chance(50) {
		return nil
	}
	var all []v1alpha1.WeightDestination
	for i := range 1 + g.IntN(2) {
		one := v1alpha1.WeightDestination{
			ServiceName: fmt.Sprintf("%s-%s-2-0-exp%d", g.rollout, g.at.Current, i), PodTemplateHash: allHashes[3+i], Weight: g.Int32N(g.maximum + 1),
		}
		switch g.IntN(25) {
		case 0:
			one.ServiceName = ""
		case 1:
			one.PodTemplateHash = ""
		case 2:
			one.Weight = 0
		case 3:
			all = append(all, one)
		case 4:
			one.Weight = -3
		}
		all = append(all, one)
	}
	return all
}

// declarable says if the user can write the lane routes: no route is odd in itself.
func (g *generator) declarable() bool {
	if g.foreign {
		return false
	}
	for _, reference := range references(g.s.istio()) {
		spec := g.s.VirtualServices[reference.Name]
		moved := g.s.moved(reference, spec, "http")
		if len(moved) == 0 || len(moved) > 1 && len(reference.Routes) == 0 || len(g.s.owned(reference)) > 0 {
			return false
		}
		for _, route := range list(spec["http"]) {
			if g.s.added(route) {
				return false
			}
		}
		for _, route := range moved {
			for _, answer := range answers {
				if route[answer] != nil {
					return false
				}
			}
		}
	}
	return true
}
