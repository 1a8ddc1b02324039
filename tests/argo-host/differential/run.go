package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/client"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// patience is how long the plugin may take to come to the expected outcome, called again and again as the controller
// does: its watches may lag behind what the test itself has changed.
const patience = time.Second

// runner runs sequences, one after the other, in namespaces of its own.
type runner struct {
	builtin, serin *side
	pods           map[string]int32
	// used counts how often each difference was needed.
	used map[string]int
	// repeated counts calls that had to be made again.
	calls, repeated int
	// weights are what the controller's status says after the last SetWeight.
	weights *v1alpha1.TrafficWeights
}

// failure is what one sequence shows.
type failure struct {
	sequence *sequence
	index    int
	before   snapshot
	what     []string
}

func (f *failure) Error() string {
	c := f.sequence.Calls[f.index]
	var objects []string
	for key, spec := range f.before {
		objects = append(objects, key+" "+compact(normal(spec)))
	}
	slices.Sort(objects)
	return fmt.Sprintf("%s\n  before the call:\n%s\n  call %d of %d: %s\n%s",
		f.sequence.describe(), indent(objects), f.index+1, len(f.sequence.Calls), c, indent(f.what))
}

func (r *runner) run(s *sequence, rollout string) (fault error) {
	r.weights = nil
	for _, one := range []*side{r.builtin, r.serin} {
		defer func() {
			if err := one.clear(); err != nil && fault == nil {
				fault = err
			}
		}()
		for name, spec := range s.VirtualServices {
			if err := one.put("VirtualService/"+name, spec); err != nil {
				return err
			}
		}
		for name, spec := range s.DestinationRules {
			if err := one.put("DestinationRule/"+name, spec); err != nil {
				return err
			}
		}
	}
	time.Sleep(lag)
	defer r.tidy(rollout, len(s.Canary.TrafficRouting.ManagedRoutes) > 0)
	for index := range s.Calls {
		if err := r.step(s, rollout, index); err != nil {
			return err
		}
	}
	return nil
}

// tidy takes the sequence's key out of the WasmPlugin, if it is there.
func (r *runner) tidy(rollout string, managed bool) {
	if managed {
		r.serin.retire(rollout)
		patch := fmt.Sprintf(`{"spec":{"pluginConfig":{"rollouts":{%q:null}}}}`, r.serin.namespace+"/"+rollout)
		_, _ = r.serin.client.Resource(wasmPlugins).Namespace(meshNamespace).Patch(context.TODO(), "serin",
			"application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
	}
}

// step makes one call on both sides and compares.
func (r *runner) step(s *sequence, rollout string, index int) error {
	c := s.Calls[index]
	r.calls++
	fail := func(before snapshot, what ...string) error { return &failure{s, index, before, what} }
	if c.Remove != "" {
		for _, one := range []*side{r.builtin, r.serin} {
			if err := one.remove(c.Remove); err != nil {
				return err
			}
		}
		time.Sleep(lag)
	}
	pods, changed, err := r.serin.pods(c.State.Pods, r.pods)
	if err != nil {
		return err
	}
	if changed {
		r.pods = c.State.Pods
		time.Sleep(lag)
	}
	before, err := r.builtin.read()
	if err != nil {
		return err
	}
	serinBefore, err := r.serin.read()
	if err != nil {
		return err
	}

	// The built-in as it is, then on what it gets right.
	raw, err := s.attempt(rollout, r.builtin, c, r.weights, before, pods)
	if err != nil {
		return err
	}
	raw.run(r.builtin)
	expected, err := s.attempt(rollout, r.builtin, c, r.weights, before, pods)
	if err != nil {
		return err
	}
	if c.Method == verifyWeight {
		// Verified is what SetWeight would leave as it is.
		expected.call.Method = setWeight
	}
	expected.home = r.serin.namespace
	mended, undo := mend(expected)
	expected.run(r.builtin)
	for i := len(undo) - 1; i >= 0; i-- {
		undo[i](expected)
	}
	built := expected.after.copy()
	sane := expected.err == nil
	expected.before = before
	needed := judge(expected)
	if c.Method == verifyWeight {
		expected.call.Method = verifyWeight
		r.verify(expected, plain(before, func(route object) bool { return s.managed(text(route["name"])) }), rollout)
		mended, needed = nil, judge(expected)
	}

	// The plugin, until it has come there.
	given, err := s.rollout(rollout, r.serin, c.State, r.weights, true)
	if err != nil {
		return err
	}
	if len(s.Canary.TrafficRouting.ManagedRoutes) > 0 {
		if err := r.serin.announce(given); err != nil {
			return err
		}
	}
	var wrong []string
	var after snapshot
	began := time.Now()
	for {
		answer := r.call(given, c)
		if after, err = r.serin.read(); err != nil {
			return err
		}
		wrong = r.compare(expected, rollout, answer, serinBefore, after)
		if len(wrong) == 0 || time.Since(began) > patience {
			break
		}
		r.repeated++
		time.Sleep(lag)
	}
	if len(wrong) > 0 {
		return fail(before, append(wrong, fmt.Sprintf("the built-in itself: error %v; differences that apply: %v", raw.err, append(mended, needed...)))...)
	}
	changedByMend := len(mended) > 0 && (raw.err == nil) != sane || len(mended) > 0 && raw.err == nil && len(differ(built, raw.after)) > 0
	if changedByMend {
		for _, id := range mended {
			r.used[id]++
		}
	}
	for _, id := range needed {
		r.used[id]++
	}
	if c.Method == setWeight && expected.err == nil {
		r.weights = &v1alpha1.TrafficWeights{
			Canary:     v1alpha1.WeightDestination{Weight: c.Weight, PodTemplateHash: c.State.Current},
			Additional: c.Additional,
		}
	}
	return r.settle(s, c, expected, built, after, rollout)
}

// settle brings the built-in's objects to the plugin's, its own header and mirror routes on top, so that the next call
// finds the same.
func (r *runner) settle(s *sequence, c call, expected *attempt, built, after snapshot, rollout string) error {
	if expected.err != nil || c.Method == verifyWeight {
		built = expected.before
	}
	next := plain(after, r.lane(rollout))
	for key, spec := range next {
		var top []object
		for _, route := range list(built[key]["http"]) {
			if s.managed(text(route["name"])) {
				top = append(top, route)
			}
		}
		if len(top) > 0 {
			spec["http"] = unlist(append(top, list(spec["http"])...))
		}
	}
	return r.builtin.write(next)
}

func (r *runner) lane(rollout string) func(object) bool {
	prefix := lanePrefix(r.serin.namespace, rollout)
	return func(route object) bool { return strings.HasPrefix(text(route["name"]), prefix) }
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
	if expected.mention == "no available pods" {
		expected.err, expected.mention = nil, ""
	}
	if live && len(expected.sequence.Canary.TrafficRouting.ManagedRoutes) > 0 {
		stand, err := policyRules(r.serin.client, r.serin.namespace, rollout)
		live = err == nil && slices.Equal(stand, expected.rulesInForce())
	}
	expected.after = users
	expected.verified = &live
}

// answer is the plugin's.
type answer struct {
	err      error
	verified types.RpcVerified
}

func (r *runner) call(rollout *v1alpha1.Rollout, c call) answer {
	// As the controller does at every reconcile: it pings the plugin, and starts it again where it doesn't answer.
	plugin, err := client.GetTrafficPlugin(pluginName)
	if err != nil {
		return answer{err, 0}
	}
	var reply types.RpcError
	var verified types.RpcVerified
	switch c.Method {
	case setWeight:
		reply = plugin.SetWeight(rollout, c.Weight, c.Additional)
	case updateHash:
		reply = plugin.UpdateHash(rollout, c.Canary, c.Stable, c.Additional)
	case verifyWeight:
		verified, reply = plugin.VerifyWeight(rollout, c.Weight, c.Additional)
	case setHeaderRoute:
		reply = plugin.SetHeaderRoute(rollout, c.Header)
	case setMirrorRoute:
		reply = plugin.SetMirrorRoute(rollout, c.Mirror)
	case removeManagedRoutes:
		reply = plugin.RemoveManagedRoutes(rollout)
	}
	if reply.HasError() {
		return answer{reply, verified}
	}
	return answer{nil, verified}
}

// compare lists what is wrong with the plugin's outcome; empty if nothing is.
func (r *runner) compare(expected *attempt, rollout string, got answer, before, after snapshot) []string {
	var wrong []string
	c := expected.call
	switch {
	case expected.err == nil && got.err != nil:
		wrong = append(wrong, "the plugin's error: "+got.err.Error()+"; expected success")
	case expected.err != nil && got.err == nil:
		wrong = append(wrong, "the plugin succeeds; expected an error, as: "+expected.err.Error())
	case got.err != nil && !strings.Contains(got.err.Error(), expected.mention):
		wrong = append(wrong, fmt.Sprintf("the plugin's error: %v; expected it to mention %q", got.err, expected.mention))
	}
	wrong = append(wrong, differ(sorted(expected, expected.after), sorted(expected, plain(after, r.lane(rollout))))...)
	if expected.verified != nil && got.err == nil && (got.verified == types.Verified) != *expected.verified {
		wrong = append(wrong, fmt.Sprintf("verified: found %v, expected %v", got.verified, *expected.verified))
	}
	for key, object := range r.serin.known {
		if _, found := object.GetAnnotations()[managedByRollouts]; found {
			wrong = append(wrong, key+" has the annotation "+managedByRollouts)
		}
	}
	if len(expected.sequence.Canary.TrafficRouting.ManagedRoutes) == 0 {
		return wrong
	}
	if got.err != nil || c.Method == updateHash || c.Method == verifyWeight {
		// These leave lanes and rules alone.
		lanesOnly := func(all snapshot) snapshot {
			return plain(all, func(route object) bool { return !r.lane(rollout)(route) })
		}
		return append(wrong, differ(httpOnly(lanesOnly(before)), httpOnly(lanesOnly(after)))...)
	}
	names := expected.rulesInForce()
	stand, err := policyRules(r.serin.client, r.serin.namespace, rollout)
	if err != nil {
		return append(wrong, err.Error())
	}
	if !slices.Equal(names, stand) {
		wrong = append(wrong, fmt.Sprintf("rules in the policy: found %v, expected %v", stand, names))
	}
	lanes := expected.sequence.lanesOf(names, c)
	for _, reference := range references(expected.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		key := expected.keyOf(reference)
		spec, found := after[key]
		if !found {
			continue
		}
		users := plain(snapshot{key: spec}, r.lane(rollout))
		managed := expected.sequence.moved(reference, users[key], "http")
		if err := expected.lanes(r.serin.namespace, rollout, spec, managed, lanes); err != nil {
			wrong = append(wrong, key+": "+err.Error())
		}
	}
	return wrong
}

func httpOnly(all snapshot) snapshot {
	kept := snapshot{}
	for key, spec := range all {
		kept[key] = object{"http": unlist(list(spec["http"]))}
	}
	return kept
}

// sorted brings what has no order into one: the built-in adds experiments' destinations and subsets as Go's maps have
// them.
func sorted(a *attempt, all snapshot) snapshot {
	all = all.copy()
	order := func(value any, name func(object) string) []any {
		items := list(value)
		var others, experiments []object
		for _, one := range items {
			if a.isExperiment(name(one)) {
				experiments = append(experiments, one)
			} else {
				others = append(others, one)
			}
		}
		slices.SortFunc(experiments, func(x, y object) int { return strings.Compare(name(x), name(y)) })
		return unlist(append(others, experiments...))
	}
	for _, spec := range all {
		for _, protocol := range []string{"http", "tls", "tcp"} {
			for _, route := range list(spec[protocol]) {
				if _, found := route["route"]; found {
					route["route"] = order(route["route"], service)
				}
			}
		}
		if _, found := spec["subsets"]; found {
			spec["subsets"] = order(spec["subsets"], func(one object) string { return text(one["name"]) })
		}
	}
	return all
}

var errSequence = errors.New("sequences failed")
