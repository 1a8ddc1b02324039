package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// What differs on purpose in how a route's weight is given out.

// maximum is what the weights of a route add up to.
func (a *attempt) maximum() int64 {
	if set := a.rollout.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight; set != nil {
		return int64(*set)
	}
	return 100
}

// share gives the destinations a weight, in parts that differ by at most one, and says if any had another.
func share(destinations []object, weight int64) bool {
	changed := false
	count := int64(len(destinations))
	for i, one := range destinations {
		part := weight / count
		if int64(i) < weight%count {
			part++
		}
		changed = changed || number(one["weight"]) != part
		if number(one["weight"]) != part {
			one["weight"] = part
		}
	}
	return changed
}

// bySide are a route's destinations by what they are to the Rollout.
func (a *attempt) bySide(route object) map[string][]object {
	all := map[string][]object{}
	for _, one := range list(route["route"]) {
		side := a.sideOf(one)
		all[side] = append(all[side], one)
	}
	return all
}

func judgeSeveral(a *attempt) bool {
	if a.err != nil || a.call.Method != setWeight {
		return false
	}
	var before []object
	a.eachMoved(a.before, func(route object) { before = append(before, route) })
	applied := false
	at := 0
	a.eachMoved(a.after, func(route object) {
		shared := false
		all := a.bySide(route)
		for _, side := range []string{"canary", "stable"} {
			if several := all[side]; len(several) > 1 {
				// The built-in has given each all of it.
				shared = share(several, number(several[0]["weight"])) || shared
			}
		}
		if shared && at < len(before) {
			leaveUnwritten(list(before[at]["route"]), list(route["route"]))
		}
		applied = applied || shared
		at++
	})
	return applied
}

// leaveUnwritten takes out weights of 0 where there was none before: it means the same, and Serin writes only what changes.
func leaveUnwritten(before, after []object) {
	if len(before) != len(after) {
		return
	}
	for i, one := range after {
		if _, written := before[i]["weight"]; !written && number(one["weight"]) == 0 {
			delete(one, "weight")
		}
	}
}

func judgeMaximum(a *attempt) bool {
	if a.err != nil || a.call.Method != setWeight {
		return false
	}
	applied := false
	a.eachMoved(a.after, func(route object) {
		sum := func(of []object) (total int64) {
			for _, one := range of {
				total += number(one["weight"])
			}
			return total
		}
		all := a.bySide(route)
		left := a.maximum()
		if sum(all["canary"])+sum(all["stable"])+sum(all["additional"])+sum(all["experiment"]) <= left {
			return
		}
		applied = true
		take := func(wanted int64) int64 {
			taken := min(wanted, left)
			left -= taken
			return taken
		}
		for _, one := range all["additional"] {
			share([]object{one}, take(number(one["weight"])))
		}
		share(all["canary"], take(sum(all["canary"])))
		for _, wanted := range a.additional {
			for _, one := range all["experiment"] {
				if service(one) == wanted.ServiceName {
					share([]object{one}, take(number(one["weight"])))
				}
			}
		}
		share(all["stable"], left)
	})
	if applied {
		a.dropNewAtNothing()
	}
	return applied
}

// dropNewAtNothing takes out experiments' destinations that this call would have added, and that are left no weight.
func (a *attempt) dropNewAtNothing() {
	place := func(route, destination object) string {
		return text(route["name"]) + compact(route["match"]) + service(destination)
	}
	before := map[string]bool{}
	a.eachMoved(a.before, func(route object) {
		for _, one := range list(route["route"]) {
			before[place(route, one)] = true
		}
	})
	a.eachMoved(a.after, func(route object) {
		route["route"] = unlist(slices.DeleteFunc(list(route["route"]), func(one object) bool {
			return a.sideOf(one) == "experiment" && number(one["weight"]) == 0 && !before[place(route, one)]
		}))
	})
}

// additionalPrefix begins the hosts of additional subsets' destinations during a call.
const additionalPrefix = "serin-additional-"

func mendAdditional(a *attempt) func(*attempt) {
	rule := a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
	if a.call.Method != setWeight || rule == nil {
		return nil
	}
	stable, canary := a.sequence.services(a.call.State)
	applies := false
	a.eachMoved(a.before, func(route object) {
		for _, one := range list(route["route"]) {
			if name := service(one); a.sideOf(one) == "additional" && (name == stable || name == canary) {
				target := inner(one, "destination")
				target["host"] = additionalPrefix + text(target["host"])
				applies = true
			}
		}
	})
	if !applies {
		return nil
	}
	return func(a *attempt) {
		a.eachMoved(a.after, func(route object) {
			for _, one := range list(route["route"]) {
				target := inner(one, "destination")
				if host, found := strings.CutPrefix(text(target["host"]), additionalPrefix); found {
					target["host"] = host
				}
			}
		})
	}
}

func mendNoService(a *attempt) func(*attempt) {
	without := func(one v1alpha1.WeightDestination) bool { return one.ServiceName == "" }
	if !slices.ContainsFunc(a.additional, without) {
		return nil
	}
	a.additional = slices.DeleteFunc(slices.Clone(a.additional), without)
	return func(*attempt) {}
}

func mendOneService(a *attempt) func(*attempt) {
	var kept []v1alpha1.WeightDestination
	for _, one := range a.additional {
		at := slices.IndexFunc(kept, func(earlier v1alpha1.WeightDestination) bool { return earlier.ServiceName == one.ServiceName })
		if at < 0 {
			kept = append(kept, one)
		} else {
			kept[at].Weight += one.Weight
		}
	}
	if len(kept) == len(a.additional) {
		return nil
	}
	a.additional = kept
	return func(*attempt) {}
}

func judgeNegative(a *attempt) bool {
	negative := a.weight < 0 || slices.ContainsFunc(a.call.Additional, func(one v1alpha1.WeightDestination) bool { return one.Weight < 0 })
	if a.call.Method != setWeight || !negative {
		return false
	}
	applied := a.err == nil
	a.err = fmt.Errorf("a negative weight")
	return applied
}
