package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

const (
	// settle is the pause before each round and after each changed call: the events of what was
	// changed reach the watches meanwhile, as they do between two reconciles of one Rollout.
	settle = 25 * time.Millisecond
	// quiet is the pause before a crowd.
	quiet = 300 * time.Millisecond
	// attempts before a call that fails ends the run. The controller would call again, too.
	attempts = 20
)

// Rows of the table.
const (
	startReady      = "start to InitPlugin answered"
	startCalled     = "start to first SetWeight answered"
	weightUnchanged = "SetWeight, unchanged"
	weightChanged   = "SetWeight, changed"
	hashUnchanged   = "UpdateHash, unchanged"
	hashChanged     = "UpdateHash, changed"
	verify          = "VerifyWeight"
	removeUnchanged = "RemoveManagedRoutes, nothing to remove"
	crowdUnchanged  = "100 Rollouts at once, unchanged"
	crowdChanged    = "100 Rollouts at once, changed"
	memoryStart     = "after start and first call"
	memoryCrowd     = "after 100 Rollouts"
)

// series are the samples of one row and one plugin.
type series struct {
	// Durations in milliseconds, memory in KiB.
	Samples []float64 `json:"samples"`
	// Calls are the times of the calls that a sample of several is made of.
	Calls []float64 `json:"calls,omitempty"`
	// Again counts calls that failed and were made again.
	Again int `json:"again,omitempty"`
}

// results by row and by the plugin's key.
type results map[string]map[string]*series

func (r results) of(row, key string) *series {
	if r[row] == nil {
		r[row] = map[string]*series{}
	}
	if r[row][key] == nil {
		r[row][key] = &series{}
	}
	return r[row][key]
}

func (r results) add(row, key string, sample float64) {
	series := r.of(row, key)
	series.Samples = append(series.Samples, sample)
}

// rotated begins with another one at each round.
func rotated[T any](all []T, round int) []T {
	shift := round % len(all)
	return append(append([]T{}, all[shift:]...), all[:shift]...)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measureStarts starts each plugin over and over, and makes one call that changes nothing.
func measureStarts(results results, contestants []contestant, pace pace) error {
	say("start-up: %d times each", pace.starts)
	for round := range pace.starts {
		for _, contestant := range rotated(contestants, round) {
			started, err := start(contestant)
			if err != nil {
				return fmt.Errorf("%s: %w", contestant.title, err)
			}
			rollout := rolloutAt(contestant.key, placeOf(contestant.key, 0), canaryHashes[0])
			if err := failure(started.router.SetWeight(rollout, 0, nil)); err != nil {
				return fmt.Errorf("%s: %w", contestant.title, err)
			}
			results.add(startCalled, contestant.key, milliseconds(time.Since(started.began)))
			results.add(startReady, contestant.key, milliseconds(started.ready))
			// Informers fill, and what start-up has allocated is freed.
			time.Sleep(quiet)
			resident, anonymous, err := started.memory()
			if err != nil {
				return err
			}
			results.add(memoryStart, contestant.key, resident)
			results.add(own(memoryStart), contestant.key, anonymous)
			started.client.Kill()
		}
	}
	return nil
}

// cpuOf is the row of the time that the plugin's threads run per call, its watches included.
func cpuOf(row string) string { return row + ", CPU of the plugin" }

func own(row string) string { return row + ", own pages" }

// state is where the objects of one Rollout were brought.
type state struct {
	weight int32
	hash   int
}

func (s *state) changeWeight() { s.weight = 30 - max(s.weight, 10) }
func (s *state) changeHash()   { s.hash = 1 - s.hash }

// measureCalls makes one call after the other, on one Rollout.
func measureCalls(results results, cluster *cluster, plugins []*plugin, pace pace) error {
	states := map[string]*state{}
	for _, plugin := range plugins {
		states[plugin.key] = &state{weight: 0}
	}
	last := time.Now()
	say("calls: %d rounds", pace.rounds)
	// The first round opens connections and watches, and is left out.
	for round := range pace.rounds + 1 {
		if time.Since(last) > 5*time.Second {
			say("calls: round %d of %d", round, pace.rounds)
			last = time.Now()
		}
		for _, kind := range []string{
			weightChanged, weightUnchanged, hashChanged, hashUnchanged, verify, removeUnchanged,
		} {
			for _, plugin := range rotated(plugins, round) {
				series := results.of(kind, plugin.key)
				if round == 0 {
					series = nil
				}
				time.Sleep(settle)
				before, err := plugin.cpu()
				if err != nil {
					return err
				}
				calls, err := measureKind(series, plugin, kind, states[plugin.key], pace)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", plugin.title, kind, err)
				}
				after, err := plugin.cpu()
				if err != nil {
					return err
				}
				if round > 0 {
					results.add(cpuOf(kind), plugin.key, milliseconds(after-before)/float64(calls))
				}
			}
		}
		for _, plugin := range plugins {
			state := states[plugin.key]
			if err := cluster.check(placeOf(plugin.key, 0), state.weight, canaryHashes[state.hash]); err != nil {
				return fmt.Errorf("%s: %w", plugin.title, err)
			}
		}
	}
	return nil
}

// measureKind makes the calls of one kind and one round, and returns how many.
func measureKind(into *series, plugin *plugin, kind string, state *state, pace pace) (int, error) {
	changes := kind == weightChanged || kind == hashChanged
	calls := pace.unchanged
	if changes {
		calls = pace.changed
	}
	at := placeOf(plugin.key, 0)
	rollout := rolloutAt(plugin.key, at, canaryHashes[state.hash])
	if kind == removeUnchanged {
		rollout = withManagedRoutes(rollout)
	}
	for range calls {
		switch kind {
		case weightChanged:
			state.changeWeight()
		case hashChanged:
			state.changeHash()
			rollout = rolloutAt(plugin.key, at, canaryHashes[state.hash])
		}
		took, again, err := timed(func() error { return call(plugin, kind, rollout, state) })
		if err != nil {
			return calls, err
		}
		if into != nil {
			into.Samples = append(into.Samples, milliseconds(took))
			into.Again += again
		}
		if changes {
			time.Sleep(settle)
		}
	}
	return calls, nil
}

func call(plugin *plugin, kind string, rollout *v1alpha1.Rollout, state *state) error {
	switch kind {
	case weightChanged, weightUnchanged:
		return failure(plugin.router.SetWeight(rollout, state.weight, nil))
	case hashChanged, hashUnchanged:
		return failure(plugin.router.UpdateHash(rollout, canaryHashes[state.hash], stableHash, nil))
	case verify:
		return verifyWeight(plugin, rollout, state.weight)
	}
	return failure(plugin.router.RemoveManagedRoutes(rollout))
}

// verifyWeight fails where the plugin looks and finds another weight.
func verifyWeight(plugin *plugin, rollout *v1alpha1.Rollout, weight int32) error {
	verified, answer := plugin.router.VerifyWeight(rollout, weight, nil)
	if err := failure(answer); err != nil {
		return err
	}
	if verified == types.NotVerified {
		return fmt.Errorf("the weight %d is not verified", weight)
	}
	return nil
}

// timed makes a call until it succeeds, and returns the time of the one that did.
func timed(call func() error) (took time.Duration, again int, err error) {
	for again = range attempts {
		began := time.Now()
		err = call()
		took = time.Since(began)
		if err == nil {
			return took, again, nil
		}
		time.Sleep(settle)
	}
	return took, again, err
}

// measureCrowds lets all Rollouts of a plugin reconcile at once: UpdateHash, SetWeight, VerifyWeight.
func measureCrowds(results results, cluster *cluster, plugins []*plugin, pace pace) error {
	// From where the single calls have left the first Rollout, and the others never were: the first
	// round brings all to one state, and is left out.
	states := map[string]*state{}
	for _, plugin := range plugins {
		states[plugin.key] = &state{weight: 10}
	}
	last := time.Now()
	say("100 Rollouts at once: %d rounds", pace.crowds)
	for round := range pace.crowds + 1 {
		if time.Since(last) > 5*time.Second {
			say("100 Rollouts at once: round %d of %d", round, pace.crowds)
			last = time.Now()
		}
		for _, row := range []string{crowdChanged, crowdUnchanged} {
			for _, plugin := range rotated(plugins, round) {
				state := states[plugin.key]
				if row == crowdChanged {
					state.changeWeight()
					state.changeHash()
				}
				time.Sleep(quiet)
				series := results.of(row, plugin.key)
				if round == 0 {
					series = nil
				}
				if err := measureCrowd(series, plugin, state); err != nil {
					return fmt.Errorf("%s: %s: %w", plugin.title, row, err)
				}
			}
		}
		for _, plugin := range plugins {
			state := states[plugin.key]
			for i := range rollouts {
				if err := cluster.check(placeOf(plugin.key, i), state.weight, canaryHashes[state.hash]); err != nil {
					return fmt.Errorf("%s: %w", plugin.title, err)
				}
			}
			resident, anonymous, err := plugin.memory()
			if err != nil {
				return err
			}
			results.add(memoryCrowd, plugin.key, resident)
			results.add(own(memoryCrowd), plugin.key, anonymous)
		}
	}
	return nil
}

func measureCrowd(into *series, plugin *plugin, state *state) error {
	type outcome struct {
		took  []float64
		again int
		err   error
	}
	ready := make([]*v1alpha1.Rollout, rollouts)
	for i := range ready {
		ready[i] = rolloutAt(plugin.key, placeOf(plugin.key, i), canaryHashes[state.hash])
	}
	outcomes := make([]outcome, rollouts)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i, rollout := range ready {
		wg.Go(func() {
			<-begin
			for _, kind := range []string{hashChanged, weightChanged, verify} {
				took, again, err := timed(func() error { return call(plugin, kind, rollout, state) })
				outcomes[i].took = append(outcomes[i].took, milliseconds(took))
				outcomes[i].again += again
				if err != nil {
					outcomes[i].err = fmt.Errorf("%s/%s: %s: %w", rollout.Namespace, rollout.Name, kind, err)
					return
				}
			}
		})
	}
	began := time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(began)
	if into != nil {
		into.Samples = append(into.Samples, milliseconds(took))
	}
	for _, outcome := range outcomes {
		if outcome.err != nil {
			return outcome.err
		}
		if into != nil {
			into.Calls = append(into.Calls, outcome.took...)
			into.Again += outcome.again
		}
	}
	return nil
}
