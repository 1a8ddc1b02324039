package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	k8serrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/istio"
	"github.com/argoproj/argo-rollouts/utils/record"
)

// attempt is one call of the built-in: what it is given, and what comes of it.
type attempt struct {
	sequence *sequence
	call     call
	// rollout has the built-in's block.
	rollout *v1alpha1.Rollout
	// before is what the call finds; the managed header and mirror routes of the built-in are among it.
	before snapshot
	pods   []*appsv1.ReplicaSet
	// The call's arguments.
	weight         int32
	canary, stable string
	additional     []v1alpha1.WeightDestination

	// home is the plugin's namespace of the Rollout, which some of its hosts have in them.
	home string

	// after is what the call leaves.
	after snapshot
	// written are the keys of what it has updated.
	written []string
	// err is its error, or panic.
	err error
	// mention is what the plugin's error has to say, where it is known.
	mention string
	// verified is what VerifyWeight has to answer: nil is "not implemented".
	verified *bool
}

// run calls the built-in on the attempt's objects, without writing anything to the API server.
func (a *attempt) run(side *side) {
	objects := &memory{attempt: a, side: side}
	reconciler := istio.NewReconciler(a.rollout, objects, silent{}, nil, nil, a.pods)
	a.after = a.before.copy()
	defer func() {
		if panicked := recover(); panicked != nil {
			a.err = fmt.Errorf("panic: %v", panicked)
		}
	}()
	switch a.call.Method {
	case setWeight:
		a.err = reconciler.SetWeight(a.weight, a.additional...)
	case updateHash:
		a.err = reconciler.UpdateHash(a.canary, a.stable, a.additional...)
	case verifyWeight:
		a.verified, a.err = reconciler.VerifyWeight(a.weight, a.additional...)
	case setHeaderRoute:
		a.err = reconciler.SetHeaderRoute(a.call.Header)
	case setMirrorRoute:
		a.err = reconciler.SetMirrorRoute(a.call.Mirror)
	case removeManagedRoutes:
		a.err = reconciler.RemoveManagedRoutes()
	}
}

// silent takes the built-in's events, which nobody reads.
type silent struct{ record.EventRecorder }

func (silent) Eventf(runtime.Object, record.EventOptions, string, ...any) {}
func (silent) Warnf(runtime.Object, record.EventOptions, string, ...any)  {}

// memory is the API as the built-in uses it: objects of an attempt.
type memory struct {
	dynamic.Interface
	attempt *attempt
	side    *side
}

type memoryKind struct {
	dynamic.NamespaceableResourceInterface
	*memory
	kind string
}

type memoryNamespace struct {
	dynamic.ResourceInterface
	memoryKind
	namespace string
}

func (m *memory) Resource(resource schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	kind := "VirtualService"
	if resource.Resource == destinationRules.Resource {
		kind = "DestinationRule"
	}
	return memoryKind{memory: m, kind: kind}
}

func (m memoryKind) Namespace(namespace string) dynamic.ResourceInterface {
	return memoryNamespace{memoryKind: m, namespace: namespace}
}

func (m memoryNamespace) key(name string) string {
	key := m.kind + "/" + name
	if m.namespace == m.side.elsewhere() {
		key += "." + elsewhere
	}
	return key
}

func (m memoryNamespace) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	spec, found := m.attempt.after[m.key(name)]
	if !found {
		return nil, k8serrors.NewNotFound(schema.GroupResource{Resource: m.kind}, name)
	}
	return named("networking.istio.io/v1", m.kind, m.namespace, name, object{"spec": deepCopy(spec)}), nil
}

func (m memoryNamespace) Update(_ context.Context, updated *unstructured.Unstructured, _ metav1.UpdateOptions, _ ...string) (*unstructured.Unstructured, error) {
	key := m.key(updated.GetName())
	m.attempt.after[key] = deepCopy(inner(updated.Object, "spec"))
	if !slices.Contains(m.attempt.written, key) {
		m.attempt.written = append(m.attempt.written, key)
	}
	return updated, nil
}

// rollout is the Rollout as a call carries it: with the built-in's block, or the same under the plugin's name.
func (s *sequence) rollout(name string, side *side, at state, weights *v1alpha1.TrafficWeights, plugin bool) (*v1alpha1.Rollout, error) {
	canary := s.Canary.DeepCopy()
	for _, one := range references(canary.TrafficRouting.Istio) {
		if short, found := strings.CutSuffix(one.Name, "."+elsewhere); found {
			one.Name = short + "." + side.elsewhere()
		}
	}
	if !plugin {
		for i, one := range references(s.istio()) {
			owned := s.owned(one)
			for j, name := range one.Routes {
				if slices.Contains(owned, name) {
					references(canary.TrafficRouting.Istio)[i].Routes[j] = ownPrefix + name
				}
			}
		}
	}
	if plugin {
		block, err := json.Marshal(canary.TrafficRouting.Istio)
		if err != nil {
			return nil, err
		}
		if s.Lanes != "" {
			if block, err = withField(block, "lanes", declared); err != nil {
				return nil, err
			}
		}
		canary.TrafficRouting.Istio = nil
		canary.TrafficRouting.Plugins = map[string]json.RawMessage{pluginName: block}
	}
	replicas := int32(wantedPods)
	rollout := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: side.namespace, UID: "1", Generation: 2},
		Spec: v1alpha1.RolloutSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "reviews"}},
			Strategy: v1alpha1.RolloutStrategy{Canary: canary},
		},
		Status: v1alpha1.RolloutStatus{
			CurrentPodHash: at.Current, StableRS: at.Stable, CurrentStepIndex: at.Step,
			Abort: at.Abort, PromoteFull: at.Promote,
		},
	}
	rollout.Spec.Template.Labels = map[string]string{"app": "reviews"}
	rollout.Status.Canary.Weights = weights
	rollout.Status.Canary.StablePingPong = v1alpha1.PingPongType(at.StablePng)
	return rollout, nil
}

// withField is a JSON object with one more field.
func withField(written []byte, field string, value any) ([]byte, error) {
	var fields object
	if err := json.Unmarshal(written, &fields); err != nil {
		return nil, err
	}
	fields[field] = value
	return json.Marshal(fields)
}

// attempt is a call of the built-in on these objects.
func (s *sequence) attempt(name string, side *side, c call, weights *v1alpha1.TrafficWeights, before snapshot, pods []*appsv1.ReplicaSet) (*attempt, error) {
	rollout, err := s.rollout(name, side, c.State, weights, false)
	if err != nil {
		return nil, err
	}
	return &attempt{
		sequence: s, call: c, rollout: rollout, before: before.copy(), pods: pods,
		weight: c.Weight, canary: c.Canary, stable: c.Stable, additional: slices.Clone(c.Additional),
	}, nil
}

// plain is a VirtualService without the routes that its router has added: the user's own.
func plain(all snapshot, added func(route object) bool) snapshot {
	kept := all.copy()
	for _, spec := range kept {
		if _, found := spec["http"]; found {
			spec["http"] = unlist(slices.DeleteFunc(list(spec["http"]), added))
		}
	}
	return kept
}

// hasPods says if a ReplicaSet of that hash has available pods.
func (s state) hasPods(hash string) bool { return s.Pods[hash] > 0 }

// isAvailable says if it has all of them.
func (s state) isAvailable(hash string) bool { return s.Pods[hash] >= wantedPods }

func (s state) String() string {
	return fmt.Sprint(slices.Sorted(maps.Keys(s.Pods)))
}
