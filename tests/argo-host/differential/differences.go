package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// difference is one thing that Serin does otherwise than the built-in, on purpose.
//
// None of them skips the comparison. A difference with `mend` changes what the built-in is given, so that what it does is
// what was meant, and the built-in stays the judge of all the rest; one with `judge` says what has to come out instead.
type difference struct {
	id string
	// what Serin does and the built-in doesn't, and why, for users.
	title, reason string
	// mend changes the attempt before the call, if the difference applies, and returns what undoes the change in the
	// outcome; nil if it doesn't apply.
	mend func(a *attempt) (undo func(a *attempt))
	// judge changes the outcome to the expected one and says if that was needed.
	judge func(a *attempt) bool
}

// allDifferences is the only list of them. `docs/differences.md` is written from it.
var allDifferences = []difference{
	{
		id:    "max-traffic-weight",
		title: "`maxTrafficWeight` is what the weights of a route add up to",
		reason: "The built-in gives stable `100 - weight` whatever the maximum is: at `maxTrafficWeight: 1000` and weight 500 " +
			"stable gets 0.",
		mend: mendMaximum,
	},
	{
		id:    "removed-destination",
		title: "Removing a destination leaves the others' weights right",
		reason: "A destination of neither side that carries weight is removed from a managed route, as the built-in does. The " +
			"built-in then writes the weights behind it to the wrong destinations: `[other, stable, canary]` at 10 becomes " +
			"stable 80, canary 90 and one more. Of two experiments that end at once, it keeps one.",
		mend: mendRemoval,
	},
	{
		id:    "unnamed-routes",
		title: "Routes without a name stay as many as they are",
		reason: "With `managedRoutes`, every write of the built-in makes n routes out of each of n unnamed ones. " +
			"Routes that share a name multiply too.",
		mend: mendUnnamed,
	},
	{
		id:    "unlisted-route",
		title: "The only route is moved also while header and mirror routes stand",
		reason: "Where `routes` is left out, a header or mirror route of the built-in takes the only route's place: weights move in " +
			"the mirror route alone, or nowhere, and a second mirror step ends in a panic.",
		mend: mendUnlisted,
	},
	{
		id:     "experiment-without-hash",
		title:  "An experiment's subset without a pod hash stays one subset",
		reason: "The built-in takes the label off the subset and adds a second one of the same name.",
		mend:   mendNoHash,
	},
	{
		id:    "subset-waits-for-pods",
		title: "A subset moves to a pod hash when its ReplicaSet has available pods",
		reason: "The built-in moves at once where there are Services, and traffic meets an empty subset; without Services it " +
			"answers with an error until every pod is available. Serin holds that one subset and goes on; where the old " +
			"version has no pods either, there is nothing to hold it for.",
		mend: mendHold,
	},
	{
		id:     "subset-without-labels",
		title:  "An experiment's subset may lack labels",
		reason: "The built-in panics on it.",
		mend:   mendLabels,
	},
	{
		id:    "other-subsets",
		title: "Other subsets of a DestinationRule stay",
		reason: "The built-in's UpdateHash drops every subset that is neither stable's, canary's nor a running experiment's, " +
			"also those of `additionalSubsetNames`. Serin takes away only what an experiment of the Rollout has left behind, " +
			"known by its name and by selecting nothing but a pod hash, and does so after the routes, in SetWeight.",
		judge: judgeSubsets,
	},
	{
		id:     "missing-subset",
		title:  "A DestinationRule without the canary's or stable's subset is an error",
		reason: "The built-in's UpdateHash says nothing, and the hash goes nowhere.",
		judge:  judgeMissingSubset,
	},
	{
		id:    "checked-routes",
		title: "A header or mirror step checks the managed routes as SetWeight does",
		reason: "The built-in writes its route on top of a VirtualService in which weights can't be set, and fails at the next " +
			"SetWeight.",
		judge: judgeChecked,
	},
	{
		id:     "ended-experiment",
		title:  "The destination of an experiment that has ended goes also at weight 0",
		reason: "The built-in keeps it as it keeps every destination without weight.",
		judge:  judgeEnded,
	},
	{
		id:     "experiment-subset-with-weight",
		title:  "SetWeight brings an experiment's subset along",
		reason: "The built-in does it in UpdateHash alone.",
		judge:  judgeExperimentSubsets,
	},
	{
		id:    "canary-subset-first",
		title: "Weight goes to a canary subset only when that selects the canary's pods",
		reason: "SetWeight and the header and mirror steps first move the canary's subset to the current pod hash, and " +
			"answer with an error where that has no available pods. The built-in raises the weight of whatever is there.",
		judge: judgeCanarySubset,
	},
	{
		id:     "all-or-nothing",
		title:  "A call that ends in an error over the objects has changed none of them",
		reason: "The built-in writes VirtualService by VirtualService, and stops at the first one that doesn't suit.",
		judge:  judgeAllOrNothing,
	},
	{
		id:    "lane-routes",
		title: "Header and mirror routes are lanes",
		reason: "The built-in writes a route of its own at the top of the VirtualService, without the user's timeouts, retries and " +
			"rewrites. Serin writes a clone of each managed route above it, which requests reach by a header that the filter " +
			"sets; the rules are in the WasmPlugin.",
		judge: judgeLanes,
	},
	{
		id:    "routes-follow-steps",
		title: "Which header and mirror routes stand follows from the steps",
		reason: "The built-in has what was set last, and loses it when canary pods restart. Serin sets nothing while the canary " +
			"has no available pods, and the next SetWeight after they are up brings it back.",
		judge: judgeRules,
	},
	{
		id:     "verified-weight",
		title:  "VerifyWeight verifies",
		reason: "The built-in's is not implemented. Serin answers true when SetWeight would find nothing to change.",
		judge:  judgeVerified,
	},
}

func mendMaximum(a *attempt) func(*attempt) {
	maximum := a.rollout.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight
	if a.call.Method != setWeight || maximum == nil || *maximum == 100 {
		return nil
	}
	a.weight = min(a.weight, *maximum)
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

// nameAll gives every unnamed route a name, in all VirtualServices.
func nameAll(a *attempt) func(*attempt) {
	for _, spec := range a.before {
		for i, route := range list(spec["http"]) {
			if text(route["name"]) == "" {
				route["name"] = fmt.Sprint(unnamedPrefix, i)
			}
		}
	}
	return func(a *attempt) {
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
		if len(reference.Routes) == 0 {
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

// held is the hash that a subset has to be at, where the call names another; refuge is where it goes if neither the old
// nor the new version has pods, if that is given.
func (a *attempt) held(spec object, name, hash, refuge string) string {
	old := hashOf(spec, name)
	at := a.call.State
	switch {
	case hash == "" || at.hasPods(hash):
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

// leftBehind says if a subset is one that an experiment of the Rollout has had: the pod hash is all that it selects by,
// and the status or the name tells whose it is.
func (a *attempt) leftBehind(one object) bool {
	block, _ := a.rule(a.before)
	for field := range one {
		if field != "name" && field != "labels" {
			return false
		}
	}
	name, labels := text(one["name"]), inner(one, "labels")
	_, hash := labels[v1alpha1.DefaultRolloutUniqueLabelKey]
	return len(labels) == 1 && hash && !slices.Contains(block.AdditionalSubsetNames, name) && !a.isExperiment(name) &&
		(a.known(name) || experimentsName(a.rollout.Name).MatchString(name))
}

// known says if the status lists an experiment's Service among the weights last set.
func (a *attempt) known(service string) bool {
	weights := a.rollout.Status.Canary.Weights
	return weights != nil && slices.ContainsFunc(weights.Additional, func(one v1alpha1.WeightDestination) bool { return one.ServiceName == service })
}

// experimentsName is how the controller names an experiment's Services.
func experimentsName(rollout string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(rollout) + "-[^-]+-[0-9]+-[0-9]+-.+$")
}

func judgeSubsets(a *attempt) bool {
	_, before := a.rule(a.before)
	_, after := a.rule(a.after)
	if a.err != nil || after == nil {
		return false
	}
	if a.call.Method == setWeight {
		// What UpdateHash has left.
		all := list(after["subsets"])
		kept := slices.DeleteFunc(slices.Clone(all), a.leftBehind)
		after["subsets"] = unlist(kept)
		return len(kept) < len(all)
	}
	if a.call.Method != updateHash {
		return false
	}
	left := list(after["subsets"])
	take := func(name string) object {
		for i, one := range left {
			if text(one["name"]) == name {
				left = slices.Delete(left, i, i+1)
				return one
			}
		}
		return nil
	}
	applied := false
	var kept []object
	for _, one := range list(before["subsets"]) {
		now := take(text(one["name"]))
		if now == nil {
			now, applied = one, true
		}
		kept = append(kept, now)
	}
	after["subsets"] = unlist(append(kept, left...))
	return applied
}

// judgeExperimentSubsets: SetWeight brings experiments' subsets along as UpdateHash does, for it may be the first to be
// told of them.
func judgeExperimentSubsets(a *attempt) bool {
	_, spec := a.rule(a.after)
	if a.err != nil || spec == nil || a.call.Method != setWeight {
		return false
	}
	applied := false
	all := list(spec["subsets"])
	for _, one := range a.call.Additional {
		at := slices.IndexFunc(all, func(subset object) bool { return text(subset["name"]) == one.ServiceName })
		hash := one.PodTemplateHash
		if hash == "" {
			continue
		}
		if at < 0 {
			all = append(all, object{"name": one.ServiceName, "labels": object{v1alpha1.DefaultRolloutUniqueLabelKey: hash}})
			applied = true
			continue
		}
		if held := a.held(spec, one.ServiceName, hash, ""); held != hashOf(spec, one.ServiceName) {
			labels := maps.Clone(inner(all[at], "labels"))
			if labels == nil {
				labels = object{}
			}
			labels[v1alpha1.DefaultRolloutUniqueLabelKey] = held
			all[at]["labels"] = labels
			applied = true
		}
	}
	spec["subsets"] = unlist(all)
	return applied
}

func judgeMissingSubset(a *attempt) bool {
	block, spec := a.rule(a.before)
	moves := a.call.Method == updateHash
	if !moves || a.err != nil || spec == nil {
		return false
	}
	has := func(name string) bool {
		return slices.ContainsFunc(list(spec["subsets"]), func(one object) bool { return text(one["name"]) == name })
	}
	for _, name := range []string{block.CanarySubsetName, block.StableSubsetName} {
		if !has(name) {
			a.err = fmt.Errorf("no subset %q", name)
			a.mention = fmt.Sprintf("a subset named %q", name)
			a.after = a.before.copy()
			return true
		}
	}
	return false
}

// betweenVersions is while there is a canary: has_canary of the plugin, after IsFullyPromoted, IsAborted and PromoteFull
// of the controller.
func (s state) betweenVersions() bool {
	return s.Stable != "" && s.Stable != s.Current && !s.Abort && !s.Promote
}

// rulesInForce are the names of the header and mirror routes that have to stand, in the order of managedRoutes.
func (a *attempt) rulesInForce() []string {
	at := a.call.State
	if a.call.Method == removeManagedRoutes || !at.betweenVersions() || !at.hasPods(at.Current) {
		return nil
	}
	stand := map[string]bool{}
	apply := func(header *v1alpha1.SetHeaderRoute, mirror *v1alpha1.SetMirrorRoute) {
		if header != nil {
			stand[header.Name] = len(header.Match) > 0
		}
		if mirror != nil {
			stand[mirror.Name] = len(mirror.Match) > 0
		}
	}
	for i, step := range a.sequence.Canary.Steps {
		if at.Step != nil && i <= int(*at.Step) {
			apply(step.SetHeaderRoute, step.SetMirrorRoute)
		}
	}
	apply(a.call.Header, a.call.Mirror)
	var names []string
	for _, route := range a.sequence.Canary.TrafficRouting.ManagedRoutes {
		if stand[route.Name] {
			names = append(names, route.Name)
		}
	}
	return names
}

func judgeCanarySubset(a *attempt) bool {
	at := a.call.State
	block, spec := a.rule(a.after)
	sends := a.call.Method == setWeight && a.weight > 0 || a.call.Method == setWeight && len(a.rulesInForce()) > 0 ||
		(a.call.Method == setHeaderRoute || a.call.Method == setMirrorRoute) && len(a.rulesInForce()) > 0
	if a.err != nil || !sends || spec == nil || at.Current == at.Stable {
		return false
	}
	before := hashOf(spec, block.CanarySubsetName)
	hash := a.held(spec, block.CanarySubsetName, at.Current, "")
	if hash != before {
		for _, one := range list(spec["subsets"]) {
			if text(one["name"]) == block.CanarySubsetName {
				labels := maps.Clone(inner(one, "labels"))
				if labels == nil {
					labels = object{}
				}
				labels[v1alpha1.DefaultRolloutUniqueLabelKey] = hash
				one["labels"] = labels
			}
		}
	}
	if !at.Abort && (hash != at.Current || !at.hasPods(hash)) {
		rule := deepCopy(spec)
		a.after = a.before.copy()
		a.after["DestinationRule/"+block.Name] = rule
		a.err = errors.New("no available pods")
		a.mention = "no available pods"
		return true
	}
	return hash != before
}

func judgeEnded(a *attempt) bool {
	if a.err != nil || a.call.Method != setWeight {
		return false
	}
	applied := false
	a.eachMoved(a.after, func(route object) {
		all := list(route["route"])
		kept := slices.DeleteFunc(slices.Clone(all), func(one object) bool { return a.sideOf(one) == "" && a.known(service(one)) })
		applied = applied || len(kept) < len(all)
		route["route"] = unlist(kept)
	})
	return applied
}

func judgeChecked(a *attempt) bool {
	if a.err != nil || a.call.Method != setHeaderRoute && a.call.Method != setMirrorRoute {
		return false
	}
	tried := *a
	tried.call.Method, tried.weight, tried.additional = setWeight, 0, nil
	tried.before = plain(a.before, func(route object) bool { return a.sequence.managed(text(route["name"])) })
	tried.run(&side{namespace: a.rollout.Namespace})
	if tried.err != nil {
		a.err, a.after = tried.err, a.before.copy()
	}
	return tried.err != nil
}

func judgeAllOrNothing(a *attempt) bool {
	if a.err == nil || a.mention != "" {
		return false
	}
	changed := len(differ(a.before, a.after)) > 0
	a.after = a.before.copy()
	return changed
}

func judgeLanes(a *attempt) bool {
	added := func(route object) bool { return a.sequence.managed(text(route["name"])) }
	stripped := plain(a.after, added)
	applied := len(differ(a.after, stripped)) > 0
	a.after = stripped
	return applied
}

// judgeRules compares what the built-in has at the top of the VirtualServices with what has to be in the policy.
func judgeRules(a *attempt) bool {
	if a.call.Method == updateHash || a.err != nil {
		return false
	}
	expected := a.rulesInForce()
	for _, reference := range references(a.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		var stand []string
		for _, route := range list(a.after[a.keyOf(reference)]["http"]) {
			if name := text(route["name"]); a.sequence.managed(name) && !slices.Contains(stand, name) {
				stand = append(stand, name)
			}
		}
		if !slices.Equal(stand, expected) {
			return true
		}
	}
	return false
}

func judgeVerified(a *attempt) bool { return a.call.Method == verifyWeight }
