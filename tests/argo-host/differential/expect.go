package main

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// outcome is what has to come of one call.
type outcome struct {
	// attempt is the built-in's, put right.
	*attempt
	// built is what the built-in leaves of what it gets right.
	built snapshot
	// itself is the error of the built-in as it is.
	itself error
	// matters: as it is, it does something else.
	matters bool
	// mended and needed are the differences that apply.
	mended, needed []string
}

// mendsThatMatter are the differences without which the built-in would have done something else.
func (o *outcome) mendsThatMatter() []string {
	if o.matters {
		return o.mended
	}
	return nil
}

// repaired are the outcomes that may come of a call too, where Serin's own repair has been there in the meantime: it brings
// subsets to where an UpdateHash, or the status, wants them with the pods of now. Of an earlier one, where it was at work
// before the last call came: the sequences name hashes in SetWeight's status that no UpdateHash has named, which the
// controller never does.
func (r *runner) repaired(s *sequence, rollout string, c call, before, serinBefore snapshot, pods []*appsv1.ReplicaSet) ([]*outcome, error) {
	var all []*outcome
	if len(s.Canary.TrafficRouting.ManagedRoutes) == 0 || s.istio().DestinationRule == nil {
		// The Rollout is not in the cluster, and nothing is repaired.
		return nil, nil
	}
	key := "DestinationRule/" + s.istio().DestinationRule.Name
	for _, one := range slices.Backward(r.standing) {
		one.State = c.State
		kept, err := r.expect(s, rollout, one, before, serinBefore, pods)
		if err != nil {
			return nil, err
		}
		if kept.err != nil || kept.after[key] == nil {
			continue
		}
		// And without what an experiment has left behind, where weights stand: those that the weights name stay.
		cleared, unweighted := kept.after.copy()[key], kept.after.copy()[key]
		cleared["subsets"] = unlist(slices.DeleteFunc(list(cleared["subsets"]), kept.leftBehind))
		unweighted["subsets"] = unlist(slices.DeleteFunc(list(unweighted["subsets"]), func(one object) bool {
			return kept.leftBehind(one) && !r.hasWeight(text(one["name"]))
		}))
		for _, rule := range []object{kept.after[key], cleared, unweighted} {
			if equal(rule, before[key]) {
				continue
			}
			repaired := before.copy()
			repaired[key] = rule
			next, err := r.expect(s, rollout, c, repaired, serinBefore, pods)
			if err != nil {
				return nil, err
			}
			all = append(all, next)
		}
	}
	return all, nil
}

// hasWeight says if the last SetWeight gave the experiment's Service a weight.
func (r *runner) hasWeight(service string) bool {
	return r.weights != nil && slices.ContainsFunc(r.weights.Additional, func(one v1alpha1.WeightDestination) bool { return one.ServiceName == service })
}

// itself is the built-in as it is.
func (r *runner) itself(s *sequence, rollout string, c call, before snapshot, pods []*appsv1.ReplicaSet) (*attempt, error) {
	raw, err := s.attempt(rollout, r.builtin, c, r.weights, s.bare(before), pods)
	if err != nil {
		return nil, err
	}
	for i, one := range references(raw.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		one.Routes = references(s.istio())[i].Routes
	}
	raw.run(r.builtin)
	raw.after = s.hide(raw.after)
	return raw, nil
}

// expect calls the built-in on what it gets right, and puts right what comes of it.
func (r *runner) expect(s *sequence, rollout string, c call, before, serinBefore snapshot, pods []*appsv1.ReplicaSet) (*outcome, error) {
	expected, err := s.attempt(rollout, r.builtin, c, r.weights, before, pods)
	if err != nil {
		return nil, err
	}
	if c.Method == verifyWeight {
		// Verified is what SetWeight would leave as it is.
		expected.call.Method = setWeight
	}
	expected.home = r.serin.namespace
	given := before
	before = expected.hideForeign(given)
	hides := len(differ(given, before)) > 0
	expected.before = before.copy()
	mended, undo := mend(expected)
	if hides {
		mended = append(mended, hostsElsewhere)
	}
	expected.run(r.builtin)
	for i := len(undo) - 1; i >= 0; i-- {
		undo[i](expected)
	}
	built := showForeign(expected.after)
	one := &outcome{attempt: expected, built: built, itself: expected.err}
	if len(mended) > 0 {
		raw, err := r.itself(s, rollout, c, given, pods)
		if err != nil {
			return nil, err
		}
		one.matters = (raw.err == nil) != (expected.err == nil) || raw.err == nil && len(differ(built, raw.after)) > 0
		one.itself = raw.err
	}
	expected.before = before
	needed := judge(expected)
	if c.Method == verifyWeight {
		expected.call.Method = verifyWeight
		r.verify(expected, plain(before, s.added), rollout)
		if left := len(leftovers(s, serinBefore)) > 0; left && expected.verified != nil {
			expected.verified = new(bool)
		}
		mended, one.matters, needed = nil, false, judge(expected)
	}
	expected.before, expected.after = given, showForeign(expected.after)
	one.mended, one.needed = mended, needed
	return one, nil
}

// mend applies the differences that change what the built-in is given.
func mend(a *attempt) (applied []string, undo []func(*attempt)) {
	for _, one := range allDifferences {
		if one.mend == nil {
			continue
		}
		if back := one.mend(a); back != nil {
			applied = append(applied, one.id)
			undo = append(undo, back)
		}
	}
	return applied, undo
}

// judge applies the differences that change the outcome.
func judge(a *attempt) (applied []string) {
	rules := slices.IndexFunc(allDifferences, func(one difference) bool { return one.id == "routes-follow-steps" })
	// The others take away what this one looks at.
	if allDifferences[rules].judge(a) {
		applied = append(applied, allDifferences[rules].id)
	}
	for i, one := range allDifferences {
		if one.judge != nil && i != rules && one.judge(a) {
			applied = append(applied, one.id)
		}
	}
	return applied
}

// verify turns the outcome of a SetWeight that was only tried into VerifyWeight's.
func (r *runner) verify(expected *attempt, users snapshot, rollout string) {
	live := expected.err == nil && len(differ(users, expected.after)) == 0
	// Never an error: the reason is in the log.
	expected.err, expected.mention = nil, ""
	if live && len(expected.sequence.Canary.TrafficRouting.ManagedRoutes) > 0 {
		stand, err := policyRules(r.serin.client, r.serin.namespace, rollout)
		live = err == nil && slices.Equal(stand, expected.rulesInForce())
	}
	expected.after = users
	expected.verified = &live
}
