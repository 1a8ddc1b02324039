package main

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// What the built-in is given in place of what it gets wrong, one function for each difference of that kind.

func mendMaximum(a *attempt) func(*attempt) {
	maximum := a.rollout.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight
	if a.call.Method != setWeight || maximum == nil || *maximum == 100 {
		return nil
	}
	// It subtracts from 100 what others get: here, what is missing to the maximum.
	const phantom = "serin-phantom"
	a.additional = append(slices.Clone(a.additional), v1alpha1.WeightDestination{ServiceName: phantom, Weight: 100 - *maximum})
	return func(a *attempt) {
		a.eachMoved(a.after, func(route object) {
			route["route"] = unlist(slices.DeleteFunc(list(route["route"]), func(one object) bool { return service(one) == phantom }))
		})
	}
}

func mendRemoval(a *attempt) func(*attempt) {
	if a.call.Method != setWeight {
		return nil
	}
	removed := false
	before := a.before.copy()
	a.eachMoved(before, func(route object) {
		all := list(route["route"])
		kept := slices.DeleteFunc(slices.Clone(all), func(one object) bool {
			return a.sideOf(one) == "" && number(one["weight"]) != 0
		})
		removed = removed || len(kept) < len(all)
		route["route"] = unlist(kept)
	})
	if !removed {
		return nil
	}
	a.before = before
	return func(*attempt) {}
}

// unnamedPrefix begins the names that unnamed routes have during a call.
const unnamedPrefix = "unnamed-"

// nameAll gives every unnamed route a name, in all VirtualServices and where a list of routes names it as "".
func nameAll(a *attempt) func(*attempt) {
	named := map[*v1alpha1.IstioVirtualService][]string{}
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		all := list(a.before[a.keyOf(reference)]["http"])
		at := slices.IndexFunc(all, func(route object) bool { return text(route["name"]) == "" })
		for i, name := range reference.Routes {
			if name == "" && at >= 0 {
				named[reference] = slices.Clone(reference.Routes)
				reference.Routes = slices.Clone(reference.Routes)
				reference.Routes[i] = fmt.Sprint(unnamedPrefix, at)
			}
		}
	}
	for _, spec := range a.before {
		for i, route := range list(spec["http"]) {
			if text(route["name"]) == "" {
				route["name"] = fmt.Sprint(unnamedPrefix, i)
			}
		}
	}
	return func(a *attempt) {
		for reference, routes := range named {
			reference.Routes = routes
		}
		for _, spec := range a.after {
			for _, route := range list(spec["http"]) {
				if strings.HasPrefix(text(route["name"]), unnamedPrefix) {
					delete(route, "name")
				}
			}
		}
	}
}

func mendUnnamed(a *attempt) func(*attempt) {
	if a.call.Method == updateHash || len(a.sequence.Canary.TrafficRouting.ManagedRoutes) == 0 {
		return nil
	}
	several := false
	for _, spec := range a.before {
		unnamed := 0
		for _, route := range list(spec["http"]) {
			if text(route["name"]) == "" {
				unnamed++
			}
		}
		several = several || unnamed > 1
	}
	if !several {
		return nil
	}
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		if len(reference.Routes) == 0 && len(a.sequence.usersRoutes(a.before[a.keyOf(reference)])) > 1 {
			return nil // several routes and none named: an error for both
		}
	}
	return nameAll(a)
}

func mendUnlisted(a *attempt) func(*attempt) {
	if a.call.Method == updateHash || a.call.Method == removeManagedRoutes {
		return nil
	}
	applies := false
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		spec, found := a.before[a.keyOf(reference)]
		all, users := list(spec["http"]), a.sequence.usersRoutes(spec)
		applies = applies || found && len(reference.Routes) == 0 && len(users) == 1 && len(all) > 1
	}
	if !applies {
		return nil
	}
	undo := nameAll(a)
	var changed []*v1alpha1.IstioVirtualService
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		spec := a.before[a.keyOf(reference)]
		if users := a.sequence.usersRoutes(spec); len(reference.Routes) == 0 && len(users) == 1 {
			reference.Routes = []string{text(list(spec["http"])[users[0]]["name"])}
			changed = append(changed, reference)
		}
	}
	return func(a *attempt) {
		undo(a)
		for _, reference := range changed {
			reference.Routes = nil
		}
	}
}

// mayMove says if the subset of that name may move to a version, by Capacity::may_move of the plugin.
func (a *attempt) mayMove(spec object, name, hash string) bool {
	at := a.call.State
	block, _ := a.rule(a.before)
	status := v1alpha1.TrafficWeights{}
	if weights := a.rollout.Status.Canary.Weights; weights != nil {
		status = *weights
	}
	enough := true
	switch name {
	case block.CanarySubsetName:
		wasThere := status.Canary.Weight > 0 && status.Canary.PodTemplateHash == hash
		enough = at.isAvailable(hash) || hash == at.Stable || wasThere
	case block.StableSubsetName:
		wasThere := a.rollout.Status.Canary.Weights != nil && status.Stable.PodTemplateHash == hash
		enough = at.isAvailable(hash) || at.Abort || wasThere || hashOf(spec, name) == ""
	}
	return at.hasPods(hash) && enough
}

// reachesCanary says if the canary subset is at the current version, or may move there.
func (a *attempt) reachesCanary() bool {
	current := a.call.State.Current
	block, spec := a.rule(a.before)
	there := spec == nil || hashOf(spec, block.CanarySubsetName) == current || a.mayMove(spec, block.CanarySubsetName, current)
	return there && a.call.State.hasPods(current)
}

// held is the hash that a subset has to be at, where the call names another; refuge is where it goes if the old version
// has no pods and the new one may not have the subset yet, if that is given.
func (a *attempt) held(spec object, name, hash, refuge string) string {
	old := hashOf(spec, name)
	at := a.call.State
	switch {
	case hash == "" || a.mayMove(spec, name, hash):
		return hash
	case old == "" || at.hasPods(old):
		return old
	case at.hasPods(refuge):
		return refuge
	}
	return hash
}

func hashOf(spec object, name string) string {
	for _, one := range list(spec["subsets"]) {
		if text(one["name"]) == name {
			return text(inner(one, "labels")[v1alpha1.DefaultRolloutUniqueLabelKey])
		}
	}
	return ""
}

func mendHold(a *attempt) func(*attempt) {
	block, spec := a.rule(a.before)
	if a.call.Method != updateHash {
		return nil
	}
	services := a.sequence.Canary.CanaryService != "" || a.sequence.Canary.StableService != ""
	unavailable := slices.ContainsFunc(a.pods, func(set *appsv1.ReplicaSet) bool { return set.Status.AvailableReplicas < wantedPods })
	canary, stable := a.canary, a.stable
	if block != nil && spec != nil {
		canary = a.held(spec, block.CanarySubsetName, a.canary, a.stable)
		stable = a.held(spec, block.StableSubsetName, a.stable, "")
	}
	var additional []v1alpha1.WeightDestination
	for _, one := range a.additional {
		stands := slices.ContainsFunc(list(spec["subsets"]), func(subset object) bool { return text(subset["name"]) == one.ServiceName })
		if stands && one.PodTemplateHash != "" {
			one.PodTemplateHash = a.held(spec, one.ServiceName, one.PodTemplateHash, "")
		}
		// Held at nothing: as if it were not there.
		if !stands || one.PodTemplateHash != "" {
			additional = append(additional, one)
		}
	}
	if canary == a.canary && stable == a.stable && slices.Equal(additional, a.additional) && (services || !unavailable) {
		return nil
	}
	a.additional = additional
	// It delays for ReplicaSets that it is told of.
	a.canary, a.stable, a.pods = canary, stable, nil
	return func(*attempt) {}
}

func mendLabels(a *attempt) func(*attempt) {
	_, spec := a.rule(a.before)
	if a.call.Method != updateHash {
		return nil
	}
	applies := false
	for _, one := range list(spec["subsets"]) {
		if one["labels"] == nil && a.isExperiment(text(one["name"])) {
			one["labels"] = object{}
			applies = true
		}
	}
	if !applies {
		return nil
	}
	return func(*attempt) {}
}

func (a *attempt) isExperiment(subset string) bool {
	return slices.ContainsFunc(a.call.Additional, func(one v1alpha1.WeightDestination) bool { return one.ServiceName == subset })
}

func mendNoHash(a *attempt) func(*attempt) {
	if a.call.Method != updateHash {
		return nil
	}
	hashless := func(one v1alpha1.WeightDestination) bool { return one.PodTemplateHash == "" }
	if !slices.ContainsFunc(a.additional, hashless) {
		return nil
	}
	// As if it were not there; that its subset stays is the business of other-subsets.
	a.additional = slices.DeleteFunc(slices.Clone(a.additional), hashless)
	return func(*attempt) {}
}
