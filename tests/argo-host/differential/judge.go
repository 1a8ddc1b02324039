package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// What has to come out instead, one function for each difference of that kind.

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
	kept := restored(list(before["subsets"]), list(after["subsets"]))
	applied := len(kept) > len(list(after["subsets"]))
	after["subsets"] = unlist(kept)
	return applied
}

// restored are the subsets of after with those of before that it lacks, in their places.
func restored(before, after []object) []object {
	left := slices.Clone(after)
	take := func(name string) object {
		for i, one := range left {
			if text(one["name"]) == name {
				left = slices.Delete(left, i, i+1)
				return one
			}
		}
		return nil
	}
	var kept []object
	for _, one := range before {
		now := take(text(one["name"]))
		if now == nil {
			now = one
		}
		kept = append(kept, now)
	}
	return append(kept, left...)
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
		if hash == "" || one.ServiceName == "" {
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

func judgeExperimentHost(a *attempt) bool {
	if a.err != nil || a.call.Method != setWeight {
		return false
	}
	applied := false
	for key, spec := range a.after {
		if !strings.HasSuffix(key, "."+elsewhere) {
			continue
		}
		before := compact(a.before[key])
		for _, protocol := range []string{"http", "tls", "tcp"} {
			for _, route := range list(spec[protocol]) {
				for _, one := range list(route["route"]) {
					target := inner(one, "destination")
					host := text(target["host"])
					// Only what this call has added.
					if a.isExperiment(host) && !strings.Contains(before, fmt.Sprintf(`"host":%q`, host)) {
						target["host"] = host + "." + a.home + ".svc.cluster.local"
						applied = true
					}
				}
			}
		}
	}
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
	if a.call.Method == removeManagedRoutes || !at.betweenVersions() || !a.reachesCanary() {
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
	steps := a.sequence.Canary.Steps
	for i, step := range steps {
		if i > at.index() {
			break
		}
		header, mirror := step.SetHeaderRoute, step.SetMirrorRoute
		ran := func(name string, sets bool) bool {
			return a.sequence.history.hasRun(i, len(steps), a.had(name) == sets)
		}
		if header != nil && !ran(header.Name, len(header.Match) > 0) {
			header = nil
		}
		if mirror != nil && (at.index() >= len(steps) || !ran(mirror.Name, len(mirror.Match) > 0)) {
			mirror = nil
		}
		apply(header, mirror)
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

// had says if a header or mirror route of that name was there before the call.
func (a *attempt) had(name string) bool {
	for _, spec := range a.before {
		for _, route := range list(spec["http"]) {
			if text(route["name"]) == name {
				return true
			}
		}
	}
	return false
}

// sends says if the call has traffic sent to the canary.
func (a *attempt) sends() bool {
	sets := a.call.Method == setWeight || a.call.Method == verifyWeight
	return sets && a.weight > 0 || (sets || a.checksRoutes()) && len(a.rulesInForce()) > 0
}

// unfounded says if the call would have traffic sent to a canary subset while the canary lacks pods.
func (a *attempt) unfounded() bool {
	at := a.call.State
	_, spec := a.rule(a.before)
	return a.sends() && spec != nil && at.Current != at.Stable && !at.Abort && !a.reachesCanary()
}

func judgeCanarySubset(a *attempt) bool {
	at := a.call.State
	block, spec := a.rule(a.after)
	if a.err != nil || a.call.Method == verifyWeight || !a.sends() || spec == nil || at.Current == at.Stable {
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
		if _, before := a.rule(a.before); before != nil {
			// What has been left behind goes after the routes.
			rule["subsets"] = unlist(restored(list(before["subsets"]), list(rule["subsets"])))
		}
		a.after = a.before.copy()
		a.after["DestinationRule/"+block.Name] = rule
		a.mention = "no available pods"
		if at.hasPods(at.Current) {
			a.mention = fewPods
		}
		a.err = errors.New(a.mention)
		return true
	}
	return hash != before
}

// fewPods is what the plugin's error says where a version lacks some.
const fewPods = "before more traffic goes there"

// judgeWaits is check_weight of the plugin.
func judgeWaits(a *attempt) bool {
	at := a.call.State
	block, spec := a.rule(a.before)
	named := a.sequence.Canary.StableService != "" || a.sequence.Canary.CanaryService != ""
	if a.err != nil || a.call.Method != setWeight || at.Abort || named && block == nil {
		return false
	}
	waits := false
	if spec != nil {
		found := hashOf(spec, block.StableSubsetName)
		waits = found != "" && found != at.Stable && at.hasPods(found) && at.hasPods(at.Stable) &&
			!a.mayMove(spec, block.StableSubsetName, at.Stable)
	}
	weights := a.rollout.Status.Canary.Weights
	had := weights != nil && weights.Canary.PodTemplateHash == at.Current && weights.Canary.Weight >= a.call.Weight
	empty := block != nil && !at.hasPods(at.Current)
	between := at.Stable != "" && at.Stable != at.Current
	if between && !had && !empty && !a.mayTake() {
		before, after := a.canaryWeights(a.before), a.canaryWeights(a.after)
		for i, weight := range after {
			waits = waits || i < len(before) && weight > before[i]
		}
	}
	if waits {
		a.err, a.mention, a.after = errors.New(fewPods), fewPods, a.before.copy()
	}
	return waits
}

// mayTake says if the canary has the pods for its weight.
func (a *attempt) mayTake() bool {
	at := a.call.State
	dynamic := a.sequence.Canary.DynamicStableScale
	return at.isAvailable(at.Current) || dynamic && min(int64(a.call.Weight), a.maximum())*wantedPods <= int64(at.Pods[at.Current])*a.maximum()
}

// canaryWeights are the weights of the canary's side in each route that the Rollout moves.
func (a *attempt) canaryWeights(all snapshot) []int64 {
	var weights []int64
	a.eachMoved(all, func(route object) {
		sum := int64(0)
		for _, one := range list(route["route"]) {
			if a.sideOf(one) == "canary" {
				sum += number(one["weight"])
			}
		}
		weights = append(weights, sum)
	})
	return weights
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
	if a.err != nil || !a.setsRoute() || !a.call.State.betweenVersions() {
		return false
	}
	tried := *a
	tried.call.Method, tried.weight, tried.additional = setWeight, 0, nil
	tried.before = withoutEmptyLists(plain(a.before, func(route object) bool { return a.sequence.managed(text(route["name"])) }))
	tried.run(&side{namespace: a.rollout.Namespace})
	if tried.err != nil {
		a.err, a.after = tried.err, a.before.copy()
	}
	return tried.err != nil
}

func judgeStepBack(a *attempt) bool {
	if !a.setsRoute() || a.call.State.betweenVersions() {
		return false
	}
	left := plain(a.before, a.sequence.added)
	changed := a.err != nil || len(differ(left, a.after)) > 0
	a.err, a.mention, a.after = nil, "", left
	return changed
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
