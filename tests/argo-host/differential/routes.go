package main

import (
	"slices"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// usersRoutes are the indexes of the HTTP routes that no router has added.
func (s *sequence) usersRoutes(spec object) []int {
	var indexes []int
	for i, route := range list(spec["http"]) {
		if !s.managed(text(route["name"])) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// moved are the routes of one protocol whose weights the Rollout moves. They share memory with spec.
func (s *sequence) moved(reference *v1alpha1.IstioVirtualService, spec object, protocol string) []object {
	routes := list(spec[protocol])
	var found []object
	switch protocol {
	case "http":
		if len(reference.Routes) == 0 {
			if only := s.usersRoutes(spec); len(only) == 1 {
				found = append(found, routes[only[0]])
			}
		}
		for _, route := range routes {
			name := text(route["name"])
			if slices.Contains(reference.Routes, name) || s.managed(name) && route["mirror"] != nil {
				found = append(found, route)
			}
		}
	case "tls":
		if len(reference.TLSRoutes) == 0 && len(routes) == 1 {
			return routes
		}
		for _, route := range routes {
			port, single := onePort(route)
			var hosts []string
			for _, match := range list(route["match"]) {
				names, _ := match["sniHosts"].([]any)
				for _, name := range names {
					if !slices.Contains(hosts, text(name)) {
						hosts = append(hosts, text(name))
					}
				}
			}
			slices.Sort(hosts)
			if slices.ContainsFunc(reference.TLSRoutes, func(wanted v1alpha1.TLSRoute) bool {
				return single && wanted.Port == port && slices.Equal(slices.Sorted(slices.Values(wanted.SNIHosts)), hosts)
			}) {
				found = append(found, route)
			}
		}
	case "tcp":
		if len(reference.TCPRoutes) == 0 && len(routes) == 1 {
			return routes
		}
		for _, route := range routes {
			port, single := onePort(route)
			if slices.ContainsFunc(reference.TCPRoutes, func(wanted v1alpha1.TCPRoute) bool {
				return single && wanted.Port == port
			}) {
				found = append(found, route)
			}
		}
	}
	return found
}

// onePort is the port that all matches of a TLS or TCP route have, 0 for none.
func onePort(route object) (int64, bool) {
	ports := map[int64]bool{}
	for _, match := range list(route["match"]) {
		ports[number(match["port"])] = true
	}
	for port := range ports {
		return port, len(ports) == 1
	}
	return 0, true
}

// service is the name of the Service that a destination leads to; empty where the built-in takes it for none.
func service(destination object) string {
	host := text(inner(destination, "destination")["host"])
	first, _, _ := strings.Cut(host, ".")
	return first
}

func subset(destination object) string { return text(inner(destination, "destination")["subset"]) }

// side of a destination: "canary", "stable", "experiment", "additional" (a subset that keeps its weight), or "" for a
// foreign one.
func (a *attempt) sideOf(destination object) string {
	stable, canary := a.sequence.services(a.call.State)
	rule := a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
	host, name := service(destination), subset(destination)
	switch {
	case host == "":
		return "ignored"
	case rule != nil && name != "" && name != rule.CanarySubsetName && name != rule.StableSubsetName &&
		slices.Contains(rule.AdditionalSubsetNames, name):
		return "additional"
	case host == canary || rule != nil && name != "" && name == rule.CanarySubsetName:
		return "canary"
	case host == stable || rule != nil && name != "" && name == rule.StableSubsetName:
		return "stable"
	case slices.ContainsFunc(a.additional, func(one v1alpha1.WeightDestination) bool { return one.ServiceName == host }):
		return "experiment"
	}
	return ""
}

// eachMoved calls visit for each route that the Rollout moves in these objects; a changed route changes them.
func (a *attempt) eachMoved(objects snapshot, visit func(route object)) {
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		spec, found := objects[a.keyOf(reference)]
		if !found {
			continue
		}
		for _, protocol := range []string{"http", "tls", "tcp"} {
			for _, route := range a.sequence.moved(reference, spec, protocol) {
				visit(route)
			}
		}
	}
}

func (a *attempt) keyOf(reference *v1alpha1.IstioVirtualService) string {
	if name, found := strings.CutSuffix(reference.Name, "."+a.rollout.Namespace+"-b"); found {
		return "VirtualService/" + name + "." + elsewhere
	}
	return "VirtualService/" + strings.TrimSuffix(reference.Name, "."+a.rollout.Namespace)
}

// rule is the DestinationRule's block and its spec among the objects; nil where there is none.
func (a *attempt) rule(objects snapshot) (*v1alpha1.IstioDestinationRule, object) {
	block := a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
	if block == nil {
		return nil, nil
	}
	return block, objects["DestinationRule/"+block.Name]
}
