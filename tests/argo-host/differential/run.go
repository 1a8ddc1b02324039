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

// quiet is how long Serin's own repair waits at the least, which takes leftover routes away without a call.
const quiet = 100 * time.Millisecond

// runner runs sequences, one after the other, in namespaces of its own.
type runner struct {
	builtin, serin *side
	pods           map[string]int32
	// used counts how often each difference was needed.
	used map[string]int
	// repeated counts calls that had to be made again.
	calls, repeated int
	// again is what was wrong the first time, where a sequence has been run twice.
	again string
	// lag is what the plugin's watches are given to see what the test itself has changed.
	lag, patience time.Duration
	// left is what the last call has left on the plugin's side, where nobody but the plugin's calls changes anything.
	left snapshot
	// began is when the first call of the sequence was made.
	began time.Time
	// announced is the Rollout's status as it stands in the cluster; empty before there is one.
	announced string
	// hashes is the last UpdateHash that has succeeded.
	hashes *call
	// weights are what the controller's status says after the last SetWeight.
	weights *v1alpha1.TrafficWeights
	// standing are the hashes that calls and statuses have named so far, the newest last, as UpdateHash calls.
	standing []call
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
	var earlier []string
	for _, one := range f.sequence.Calls[:f.index] {
		earlier = append(earlier, one.String())
	}
	return fmt.Sprintf("%s\n  earlier calls:\n%s\n  before the call:\n%s\n  call %d of %d: %s\n%s",
		f.sequence.describe(), indent(earlier), indent(objects), f.index+1, len(f.sequence.Calls), c, indent(f.what))
}

// twice runs a sequence, and once more with more patience if it fails: on a busy machine the plugin's watches may be late,
// and a Rollout that is repaired by what they have said before isn't at fault. A fault fails both times.
func (r *runner) twice(one job) error {
	r.again = ""
	err := r.once(one, 25*time.Millisecond, patience)
	var failed *failure
	if errors.As(err, &failed) {
		r.again = failed.what[0]
		err = r.once(one, 250*time.Millisecond, 5*patience)
	}
	return err
}

func (r *runner) once(one job, lag, patience time.Duration) error {
	r.lag, r.patience = lag, patience
	r.used, r.calls, r.repeated = map[string]int{}, 0, 0
	r.builtin.known, r.serin.known = stored{}, stored{}
	return r.run(one.sequence, one.rollout)
}

func (r *runner) run(s *sequence, rollout string) (fault error) {
	r.weights, r.hashes, r.standing, r.announced, r.left = nil, nil, nil, "", nil
	s.history = history{}
	defer func() {
		for _, one := range []*side{r.builtin, r.serin} {
			if err := one.clear(); err != nil && fault == nil {
				fault = err
			}
		}
	}()
	for name, spec := range s.VirtualServices {
		if s.Lanes == declared {
			spec = s.declare(r.serin.namespace, rollout, name, spec)
		}
		if err := r.serin.put("VirtualService/"+name, at(spec, r.serin.namespace)); err != nil {
			return err
		}
	}
	for name, spec := range s.DestinationRules {
		if err := r.serin.put("DestinationRule/"+name, spec); err != nil {
			return err
		}
	}
	// What the API server has made of it.
	stored, err := r.serin.read()
	if err != nil {
		return err
	}
	for key, spec := range plain(s.hide(stored), r.lane(rollout)) {
		if err := r.builtin.put(key, spec); err != nil {
			return err
		}
	}
	time.Sleep(r.lag)
	r.began = time.Now()
	defer r.tidy(rollout, len(s.Canary.TrafficRouting.ManagedRoutes) > 0)
	for index := range s.Calls {
		if err := r.step(s, rollout, index); err != nil {
			return err
		}
	}
	return nil
}

// at is the spec for a Rollout in that namespace.
func at(spec object, namespace string) object {
	spec = deepCopy(spec)
	eachHost(spec, func(host string) string { return strings.ReplaceAll(host, "."+home, "."+namespace) })
	return spec
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
	s.history.see(c.State)
	fail := func(before snapshot, what ...string) error { return &failure{s, index, before, what} }
	if c.Remove != "" {
		for _, one := range []*side{r.builtin, r.serin} {
			if err := one.remove(c.Remove); err != nil {
				return err
			}
		}
		time.Sleep(r.lag)
	}
	pods, changed, err := r.serin.pods(c.State.Pods, r.pods)
	if err != nil {
		return err
	}
	if changed {
		r.pods = c.State.Pods
		time.Sleep(r.lag)
	}
	before, err := r.builtin.read()
	if err != nil {
		return err
	}
	serinBefore := r.left
	if serinBefore == nil || c.Remove != "" || len(s.Canary.TrafficRouting.ManagedRoutes) > 0 {
		if serinBefore, err = r.serin.read(); err != nil {
			return err
		}
		serinBefore = s.hide(serinBefore)
	}

	came, err := r.expect(s, rollout, c, before, serinBefore, pods)
	if err != nil {
		return err
	}

	// The plugin, until it has come there.
	given, err := s.rollout(rollout, r.serin, c.State, r.weights, true)
	if err != nil {
		return err
	}
	if len(s.Canary.TrafficRouting.ManagedRoutes) > 0 {
		if r.announced, err = r.serin.announce(given, r.announced); err != nil {
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
		after = s.hide(after)
		if wrong = r.compare(came.attempt, rollout, answer, serinBefore, after); len(wrong) > 0 {
			repaired, err := r.repaired(s, rollout, c, before, serinBefore, pods)
			if err != nil {
				return err
			}
			for _, one := range repaired {
				if len(r.compare(one.attempt, rollout, answer, serinBefore, after)) == 0 {
					wrong, came = nil, one
				}
			}
		}
		if len(wrong) == 0 || time.Since(began) > r.patience {
			break
		}
		r.repeated++
		time.Sleep(r.lag)
	}
	if len(wrong) > 0 {
		return fail(before, append(wrong, fmt.Sprintf("the built-in itself: error %v; differences that apply: %v", came.itself, append(came.mended, came.needed...)))...)
	}
	for _, id := range append(came.mendsThatMatter(), came.needed...) {
		r.used[id]++
	}
	expected := came.attempt
	r.left = after
	if c.Method == setHeaderRoute || c.Method == setMirrorRoute {
		s.history.bring(expected.err)
	}
	switch {
	case expected.err != nil:
	case c.Method == setWeight:
		r.weights = &v1alpha1.TrafficWeights{
			Canary:     v1alpha1.WeightDestination{Weight: c.Weight, PodTemplateHash: c.State.Current},
			Stable:     v1alpha1.WeightDestination{PodTemplateHash: c.State.Stable},
			Additional: c.Additional,
		}
		r.stand(r.weights.Canary.PodTemplateHash, r.weights.Stable.PodTemplateHash, c.Additional)
	case c.Method == updateHash:
		r.hashes = &c
		r.stand(c.Canary, c.Stable, c.Additional)
	}
	return r.settle(s, c, expected, came.built, after, rollout)
}

// settle brings the built-in's objects to the plugin's, its own header and mirror routes on top, so that the next call
// finds the same.
func (r *runner) settle(s *sequence, c call, expected *attempt, built, after snapshot, rollout string) error {
	if expected.err != nil || c.Method == verifyWeight {
		built = expected.before
	}
	next := plain(plain(after, r.lane(rollout)), s.added)
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

func (r *runner) stand(canary, stable string, additional []v1alpha1.WeightDestination) {
	r.standing = append(r.standing, call{Method: updateHash, Canary: canary, Stable: stable, Additional: additional})
}

func (r *runner) lane(rollout string) func(object) bool {
	prefix := lanePrefix(r.serin.namespace, rollout)
	return func(route object) bool { return strings.HasPrefix(text(route["name"]), prefix) }
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

// tolerated says if the plugin may answer otherwise than the differences say, and takes its answer for the expected one:
// it refuses a canary whose step no request can reach, before anything is written; it holds the weights of a promotion
// while the stable subset selects another version and the canary subset the promoted one; and on the way back it brings
// objects back in which the built-in can't set a weight.
func tolerated(expected *attempt, got answer, before, after snapshot) bool {
	at, method := expected.call.State, expected.call.Method
	back := !at.betweenVersions() || expected.call.Weight == 0
	switch {
	case got.err == nil && expected.err != nil && method == setWeight && back:
		expected.err = nil
		return true
	case expected.err != nil && method == verifyWeight && back:
		return true
	case got.err == nil || expected.err != nil:
		return false
	}
	said := got.err.Error()
	isHeld := at.Current == at.Stable && strings.Contains(said, "until then traffic stays at subset")
	isUnreachable := strings.Contains(said, "none of them gets to the canary") || strings.Contains(said, "and so none to the canary")
	if isHeld || isUnreachable && len(differ(before, after)) == 0 {
		expected.err = got.err
		return true
	}
	return false
}

// compare lists what is wrong with the plugin's outcome; empty if nothing is.
func (r *runner) compare(expected *attempt, rollout string, got answer, before, after snapshot) []string {
	if tolerated(expected, got, before, after) {
		return nil
	}
	var wrong []string
	c := expected.call
	switch {
	case expected.err == nil && got.err != nil:
		wrong = append(wrong, "the plugin's error: "+got.err.Error()+"; expected success")
	case c.Method == verifyWeight && got.err != nil:
		wrong = append(wrong, "VerifyWeight's error: "+got.err.Error())
	case expected.err != nil && c.Method == verifyWeight:
		if got.verified == types.Verified {
			wrong = append(wrong, "verified; expected an error in SetWeight, as: "+expected.err.Error())
		}
	case expected.err != nil && got.err == nil:
		wrong = append(wrong, "the plugin succeeds; expected an error, as: "+expected.err.Error())
	case got.err != nil && !strings.Contains(got.err.Error(), expected.mention):
		wrong = append(wrong, fmt.Sprintf("the plugin's error: %v; expected it to mention %q", got.err, expected.mention))
	}
	users := plain(plain(after, r.lane(rollout)), expected.sequence.added)
	// On the way back to one version an error has changed all that could be: properties of the plugin's core say what.
	isBack := c.State.Abort || c.State.Current == c.State.Stable
	if !(isBack && expected.err != nil && got.err != nil) {
		wrong = append(wrong, differ(sorted(expected, expected.after), sorted(expected, users))...)
	}
	// What the built-in itself has left there goes with the first call that sets routes.
	stay := leftovers(expected.sequence, before)
	if expected.err == nil && c.Method != updateHash && c.Method != verifyWeight {
		stay = map[string][]any{}
	}
	left := leftovers(expected.sequence, after)
	if repaired := time.Since(r.began) > quiet && len(left) == 0; !repaired {
		wrong = append(wrong, differences("leftover routes", compact(stay), compact(left))...)
	}
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
	lanesOnly := func(all snapshot) snapshot {
		return plain(all, func(route object) bool { return !r.lane(rollout)(route) })
	}
	if got.err != nil || c.Method == updateHash || c.Method == verifyWeight {
		// These leave lanes and rules alone.
		moved := differ(httpOnly(lanesOnly(before)), httpOnly(lanesOnly(after)))
		// Or Serin's own repair has brought them to where the steps want them with the pods of now; or taken them away,
		// where the last UpdateHash was another version's.
		unnamed := r.hashes != nil && r.hashes.Canary != c.State.Current || c.Method == updateHash && c.Canary != c.State.Current
		gone := unnamed && equal(unlistAll(lanesOnly(after)), unlistAll(snapshot{}))
		if len(moved) > 0 && !gone && len(r.checkLanes(expected, rollout, after)) > 0 {
			wrong = append(wrong, moved...)
		}
		return wrong
	}
	names := expected.rulesInForce()
	stand, err := policyRules(r.serin.client, r.serin.namespace, rollout)
	if err != nil {
		return append(wrong, err.Error())
	}
	// Or Serin's own repair has taken them away already, where the last UpdateHash was another version's.
	unnamed := r.hashes != nil && r.hashes.Canary != c.State.Current
	if unnamed && len(stand) == 0 && len(unlistAll(lanesOnly(after))) == 0 {
		return wrong
	}
	if !slices.Equal(names, stand) {
		wrong = append(wrong, fmt.Sprintf("rules in the policy: found %v, expected %v", stand, names))
	}
	return append(wrong, r.checkLanes(expected, rollout, after)...)
}

// checkLanes lists what is wrong with the lane routes, by what the steps want.
func (r *runner) checkLanes(expected *attempt, rollout string, after snapshot) (wrong []string) {
	lanes := expected.sequence.lanesOf(expected.rulesInForce(), expected.call)
	if expected.sequence.Lanes == declared {
		lanes = expected.sequence.lanesOfSteps()
	}
	for _, reference := range references(expected.rollout.Spec.Strategy.Canary.TrafficRouting.Istio) {
		key := expected.keyOf(reference)
		spec, found := after[key]
		if !found {
			continue
		}
		spec = expected.hideForeign(snapshot{key: spec})[key]
		users := plain(snapshot{key: spec}, func(route object) bool {
			return r.lane(rollout)(route) || expected.sequence.added(route)
		})
		managed := expected.sequence.moved(reference, users[key], "http")
		if err := expected.lanes(r.serin.namespace, rollout, spec, managed, lanes); err != nil {
			wrong = append(wrong, key+": "+err.Error())
		}
	}
	return wrong
}

// leftovers are the routes with a managed route's name, by object.
func leftovers(s *sequence, all snapshot) map[string][]any {
	found := map[string][]any{}
	for key, spec := range all {
		for _, route := range list(spec["http"]) {
			if s.added(route) {
				found[key] = append(found[key], normal(route))
			}
		}
	}
	return found
}

// unlistAll are the HTTP routes of all of them.
func unlistAll(all snapshot) []any {
	routes := []any{}
	for _, spec := range all {
		routes = append(routes, unlist(list(spec["http"]))...)
	}
	return routes
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
