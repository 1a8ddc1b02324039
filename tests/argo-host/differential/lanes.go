package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// lanePrefix begins the names of the plugin's own routes for this Rollout.
func lanePrefix(namespace, rollout string) string { return "serin-" + namespace + "." + rollout + "." }

// lanes checks the plugin's own routes in one VirtualService: exactly the wanted ones stand above each managed route,
// each the managed route's clone.
func (a *attempt) lanes(namespace, rollout string, spec object, managed []object, wanted []string) error {
	prefix := lanePrefix(namespace, rollout)
	header := "x-rollout-lane." + namespace + "." + rollout
	above := []object{}
	for _, route := range list(spec["http"]) {
		name := text(route["name"])
		if strings.HasPrefix(name, prefix) {
			above = append(above, route)
			continue
		}
		want := wanted
		if !slices.ContainsFunc(managed, func(one object) bool { return equal(one, route) }) {
			want = nil
		}
		var found []string
		for _, clone := range above {
			lane, _, _ := strings.Cut(strings.TrimPrefix(text(clone["name"]), prefix), ":")
			found = append(found, lane)
			if err := a.clone(clone, route, lane, header); err != nil {
				return fmt.Errorf("route %q: %w", text(clone["name"]), err)
			}
		}
		slices.Sort(found)
		if !slices.Equal(found, want) {
			return fmt.Errorf("above route %q stand lanes %v, expected %v", name, found, want)
		}
		above = nil
	}
	if len(above) > 0 {
		return fmt.Errorf("lanes stand below all routes")
	}
	return nil
}

// clone checks one lane route against the route that it is made from.
func (a *attempt) clone(clone, route object, lane, header string) error {
	rest := func(from object) object {
		kept := object{}
		for field, value := range from {
			if !slices.Contains([]string{"name", "match", "route", "mirror", "mirrors", "mirrorPercentage"}, field) {
				kept[field] = value
			}
		}
		return kept
	}
	if !equal(rest(clone), rest(route)) {
		return fmt.Errorf("has %s, expected the user's %s", compact(rest(clone)), compact(rest(route)))
	}
	wanted := list(deepCopy(route)["match"])
	if len(wanted) == 0 {
		wanted = []object{{}}
	}
	for _, entry := range wanted {
		headers := inner(entry, "headers")
		if headers == nil {
			headers = object{}
			entry["headers"] = headers
		}
		headers[header] = object{"exact": lane}
	}
	if found := list(clone["match"]); !reflect.DeepEqual(normal(unlist(found)), normal(unlist(wanted))) {
		return fmt.Errorf("matches %s, expected %s", compact(unlist(found)), compact(unlist(wanted)))
	}
	destinations := list(clone["route"])
	switch lane {
	case "canary":
		// A lane lists both sides; the other one has no weight.
		gets := func(one object) bool { return len(destinations) == 1 || number(one["weight"]) > 0 }
		total := int64(0)
		for _, one := range destinations {
			if side := a.sideOf(one); gets(one) && side != "canary" || side != "canary" && side != "stable" {
				return fmt.Errorf("leads to %s, expected the canary alone", compact(clone["route"]))
			}
			total += number(one["weight"])
		}
		if len(destinations) > 1 && total != a.maximum() || len(destinations) == 0 {
			return fmt.Errorf("has the weights %s, expected %d in all", compact(clone["route"]), a.maximum())
		}
	case "mirror":
		if !equal(clone["route"], route["route"]) {
			return fmt.Errorf("splits %s, expected as its route %s", compact(clone["route"]), compact(route["route"]))
		}
		mirrors := list(clone["mirrors"])
		if one := inner(clone, "mirror"); one != nil {
			mirrors = append(mirrors, object{"destination": one})
		}
		if !slices.ContainsFunc(mirrors, func(one object) bool { return a.sideOf(one) == "canary" }) {
			return fmt.Errorf("mirrors to %s, expected the canary among them", compact(unlist(mirrors)))
		}
	}
	return nil
}

// lanesOf are the lanes that the rules with these names need, sorted.
func (s *sequence) lanesOf(names []string, current call) []string {
	var lanes []string
	add := func(name, lane string) {
		if slices.Contains(names, name) && !slices.Contains(lanes, lane) {
			lanes = append(lanes, lane)
		}
	}
	for _, step := range s.Canary.Steps {
		if step.SetHeaderRoute != nil {
			add(step.SetHeaderRoute.Name, "canary")
		}
		if step.SetMirrorRoute != nil {
			add(step.SetMirrorRoute.Name, "mirror")
		}
	}
	if current.Header != nil {
		add(current.Header.Name, "canary")
	}
	if current.Mirror != nil {
		add(current.Mirror.Name, "mirror")
	}
	slices.Sort(lanes)
	return lanes
}
