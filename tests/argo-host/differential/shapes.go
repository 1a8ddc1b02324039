package main

import (
	"errors"
	"fmt"
	"strings"
)

// What differs on purpose where objects are odd.

// answers are the fields by which a route needs no destination.
var answers = []string{"redirect", "directResponse", "delegate"}

var protocols = []string{"http", "tls", "tcp"}

func isEmptyList(spec object, protocol string) bool {
	items, is := spec[protocol].([]any)
	return is && len(items) == 0
}

func mendEmptyLists(a *attempt) func(*attempt) {
	if a.call.Method == updateHash {
		return nil
	}
	type place struct{ key, protocol string }
	var empty []place
	for key, spec := range a.before {
		for _, protocol := range protocols {
			if isEmptyList(spec, protocol) {
				delete(spec, protocol)
				empty = append(empty, place{key, protocol})
			}
		}
	}
	if len(empty) == 0 {
		return nil
	}
	return func(a *attempt) {
		for _, one := range empty {
			if _, found := a.after[one.key][one.protocol]; !found {
				a.after[one.key][one.protocol] = []any{}
			}
		}
	}
}

// moves says if the call is one that checks what the weights are set in.
func (a *attempt) checksRoutes() bool {
	return a.call.Method == setWeight || a.setsRoute() && a.call.State.betweenVersions()
}

// setsRoute says if the call is that of a header or mirror step.
func (a *attempt) setsRoute() bool {
	return a.call.Method == setHeaderRoute || a.call.Method == setMirrorRoute
}

// refuse makes the outcome an error that mentions something.
func (a *attempt) refuse(mention string) {
	a.err = errors.New(mention)
	if len(references(a.sequence.istio())) == 1 && !a.unfounded() {
		// Else another fault may be found first.
		a.mention = mention
	}
	a.after = a.before.copy()
}

func judgeNoRoutes(a *attempt) bool {
	if a.err != nil || !a.checksRoutes() {
		return false
	}
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		spec := a.before[a.keyOf(reference)]
		if spec != nil && len(list(spec["http"]))+len(list(spec["tls"]))+len(list(spec["tcp"])) == 0 {
			a.refuse("at least one HTTP, TLS or TCP route")
			return true
		}
	}
	return false
}

func judgeAnswers(a *attempt) bool {
	if a.err != nil || !a.checksRoutes() {
		return false
	}
	found := ""
	a.eachMoved(a.before, func(route object) {
		for _, answer := range answers {
			if route[answer] != nil && !a.sequence.managed(text(route["name"])) {
				found = answer
			}
		}
	})
	if found == "" {
		return false
	}
	a.refuse("route destinations")
	return true
}

// judgeSides: the built-in looks for the sides' subsets, whatever the hosts they are at.
func judgeSides(a *attempt) bool {
	rule := a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
	if a.err != nil || !a.checksRoutes() || rule == nil {
		return false
	}
	applied := false
	a.eachMoved(a.before, func(route object) {
		stable := false
		for _, one := range list(route["route"]) {
			stable = stable || subset(one) == rule.StableSubsetName && a.sideOf(one) == "stable"
		}
		applied = applied || !stable && !a.sequence.managed(text(route["name"]))
	})
	if applied {
		a.refuse(fmt.Sprintf("%q", rule.StableSubsetName))
	}
	return applied
}

// withoutEmptyLists is what judgeChecked tries.
func withoutEmptyLists(all snapshot) snapshot {
	for _, spec := range all {
		for _, protocol := range protocols {
			if isEmptyList(spec, protocol) {
				delete(spec, protocol)
			}
		}
	}
	return all
}

// declare is the VirtualServices' specs with lane routes as the user writes them for `lanes: declared`.
func (s *sequence) declare(namespace, rollout, name string, spec object) object {
	spec = deepCopy(spec)
	prefix, header := lanePrefix(namespace, rollout), "x-rollout-lane."+namespace+"."+rollout
	for _, reference := range references(s.istio()) {
		if reference.Name != name {
			continue
		}
		managed := s.moved(reference, spec, "http")
		var routes []object
		for _, route := range list(spec["http"]) {
			for _, one := range managed {
				if compact(one) == compact(route) {
					for _, lane := range s.lanesOfSteps() {
						routes = append(routes, s.laneRoute(route, prefix, header, lane, len(managed) > 1))
					}
					break
				}
			}
			routes = append(routes, route)
		}
		spec["http"] = unlist(routes)
	}
	return spec
}

// lanesOfSteps are all lanes that the Rollout ever needs.
func (s *sequence) lanesOfSteps() []string {
	var names []string
	for _, one := range s.Canary.TrafficRouting.ManagedRoutes {
		names = append(names, one.Name)
	}
	return s.lanesOf(names, call{})
}

func (s *sequence) laneRoute(route object, prefix, header, lane string, several bool) object {
	clone := deepCopy(route)
	clone["name"] = prefix + lane
	if several {
		clone["name"] = prefix + lane + ":" + text(route["name"])
	}
	entries := list(clone["match"])
	if len(entries) == 0 {
		entries = []object{{}}
	}
	for _, entry := range entries {
		if inner(entry, "headers") == nil {
			entry["headers"] = object{}
		}
		inner(entry, "headers")[header] = object{"exact": lane}
	}
	clone["match"] = unlist(entries)
	canary := func() object {
		for _, one := range list(clone["route"]) {
			if strings.Contains(compact(one), canarySubset) {
				return one
			}
		}
		return object{}
	}()
	if lane == "canary" {
		delete(canary, "weight")
		clone["route"] = []any{canary}
		return clone
	}
	mirrors := list(clone["mirrors"])
	if one := inner(clone, "mirror"); one != nil {
		mirrors = append(mirrors, object{"destination": one, "percentage": clone["mirrorPercentage"]})
	}
	for _, field := range []string{"mirror", "mirrorPercentage"} {
		delete(clone, field)
	}
	clone["mirrors"] = unlist(append(mirrors, object{"destination": deepCopy(inner(canary, "destination"))}))
	return clone
}

// judgeUndeclared: with `lanes: declared` the lane routes have to be there.
func judgeUndeclared(a *attempt) bool {
	if a.sequence.Lanes != undeclared || !a.checksRoutes() || a.err != nil || !a.call.State.betweenVersions() {
		return false
	}
	a.refuse("x-rollout-lane.")
	return true
}
