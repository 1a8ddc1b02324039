package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	k8serrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

var (
	virtualServices  = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	destinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	wasmPlugins      = schema.GroupVersionResource{Group: "extensions.istio.io", Version: "v1alpha1", Resource: "wasmplugins"}
	replicaSets      = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	rollouts         = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	namespaces       = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// elsewhere stands for the second namespace in names of VirtualServices.
const elsewhere = "ELSEWHERE"

// home stands for the Rollout's namespace in the hosts of destinations.
const home = "HOME"

// managedByRollouts is the annotation that the built-in sets on DestinationRules, and the plugin must not.
const managedByRollouts = v1alpha1.ManagedByRolloutsKey

// side is one of the two under comparison: a namespace with its own copies of the objects.
type side struct {
	client    dynamic.Interface
	namespace string
	// inMemory is the built-in's: nobody but the test looks at its objects, so the API server need not have them.
	inMemory bool
	// stored are the specs as the API server has them, by kind and name, as last read or written.
	known stored
}

// snapshot holds specs by "VirtualService/name" and "DestinationRule/name".
// snapshot is below; stored are objects by the same keys.
type stored = map[string]*unstructured.Unstructured

type snapshot map[string]object

func connect(config *rest.Config) (dynamic.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = -1, -1
	return dynamic.NewForConfig(config)
}

// ensure creates an object unless it is there.
func ensure(client dynamic.ResourceInterface, made *unstructured.Unstructured) error {
	_, err := client.Create(context.TODO(), made, metav1.CreateOptions{})
	if k8serrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func named(apiVersion, kind, namespace, name string, fields object) *unstructured.Unstructured {
	metadata := object{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	all := object{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	maps.Copy(all, fields)
	return &unstructured.Unstructured{Object: all}
}

func (s *side) elsewhere() string { return s.namespace + "-b" }

// place is where the object with that key is.
func (s *side) place(key string) (dynamic.ResourceInterface, string, string) {
	kind, name, _ := strings.Cut(key, "/")
	namespace := s.namespace
	if short, found := strings.CutSuffix(name, "."+elsewhere); found {
		name, namespace = short, s.elsewhere()
	}
	resource := virtualServices
	if kind == "DestinationRule" {
		resource = destinationRules
	}
	return s.client.Resource(resource).Namespace(namespace), namespace, name
}

// put makes the object's spec what is given: created, replaced, or left alone if it is so already.
func (s *side) put(key string, spec object) error {
	client, namespace, name := s.place(key)
	kind, _, _ := strings.Cut(key, "/")
	spec = deepCopy(spec)
	var stored *unstructured.Unstructured
	var err error
	if known, found := s.known[key]; found {
		if equal(known.Object["spec"], spec) {
			return nil
		}
	}
	if s.inMemory {
		s.known[key] = named("networking.istio.io/v1", kind, namespace, name, object{"spec": spec})
		return nil
	}
	if known, found := s.known[key]; found {
		next := known.DeepCopy()
		next.SetAnnotations(nil)
		next.Object["spec"] = spec
		stored, err = client.Update(context.TODO(), next, metav1.UpdateOptions{})
	} else {
		made := named("networking.istio.io/v1", kind, namespace, name, object{"spec": spec})
		stored, err = client.Create(context.TODO(), made, metav1.CreateOptions{})
		if k8serrors.IsInvalid(err) || k8serrors.IsBadRequest(err) {
			return fmt.Errorf("the API server refuses the test's own %s: %w", key, err)
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s in %s: %w", key, namespace, err)
	}
	s.known[key] = stored
	return nil
}

// read reads all objects anew.
func (s *side) read() (snapshot, error) {
	found := snapshot{}
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		if s.inMemory {
			found[key] = deepCopy(inner(s.known[key].Object, "spec"))
			continue
		}
		client, namespace, name := s.place(key)
		got, err := client.Get(context.TODO(), name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("reading %s in %s: %w", key, namespace, err)
		}
		s.known[key] = got
		spec, _ := got.Object["spec"].(object)
		found[key] = deepCopy(spec)
	}
	return found, nil
}

// write brings all objects to a snapshot.
func (s *side) write(wanted snapshot) error {
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if _, found := s.known[key]; !found {
			continue
		}
		if err := s.put(key, wanted[key]); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object.
func (s *side) remove(key string) error {
	client, _, name := s.place(key)
	delete(s.known, key)
	if s.inMemory {
		return nil
	}
	return client.Delete(context.TODO(), name, metav1.DeleteOptions{})
}

// clear deletes all of them.
func (s *side) clear() error {
	for _, key := range slices.Collect(maps.Keys(s.known)) {
		if err := s.remove(key); err != nil && !k8serrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// pods brings the namespace's ReplicaSets to what is given, and returns them as the controller holds them.
func (s *side) pods(wanted map[string]int32, before map[string]int32) ([]*appsv1.ReplicaSet, bool, error) {
	client := s.client.Resource(replicaSets).Namespace(s.namespace)
	changed := false
	for _, hash := range allHashes {
		now, exists := wanted[hash]
		old, existed := before[hash]
		if exists == existed && now == old {
			continue
		}
		changed = true
		if !exists {
			now = 0 // one that is gone has no pods either; its object stays for the next sequence
		}
		if !existed && now == 0 {
			continue
		}
		set := replicaSet(s.namespace, hash, now)
		text, err := json.Marshal(set)
		if err != nil {
			return nil, false, err
		}
		made := &unstructured.Unstructured{}
		if err := json.Unmarshal(text, &made.Object); err != nil {
			return nil, false, err
		}
		if _, err := client.UpdateStatus(context.TODO(), made, metav1.UpdateOptions{}); err != nil {
			return nil, false, err
		}
	}
	var all []*appsv1.ReplicaSet
	for _, hash := range slices.Sorted(maps.Keys(wanted)) {
		all = append(all, replicaSet(s.namespace, hash, wanted[hash]))
	}
	return all, changed, nil
}

// wantedPods is what each ReplicaSet of a test wants.
const wantedPods = 2

func replicaSet(namespace, hash string, available int32) *appsv1.ReplicaSet {
	wanted := int32(wantedPods)
	labels := map[string]string{"app": "reviews", v1alpha1.DefaultRolloutUniqueLabelKey: hash}
	return &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{Name: "rs-" + hash, Namespace: namespace, Labels: labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &wanted,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
			},
		},
		Status: appsv1.ReplicaSetStatus{Replicas: available, ReadyReplicas: available, AvailableReplicas: available},
	}
}

// prepare makes namespaces, ReplicaSets without pods, and the WasmPlugin.
func (s *side) prepare() error {
	if s.inMemory {
		return nil
	}
	for _, name := range []string{s.namespace, s.elsewhere()} {
		if err := ensure(s.client.Resource(namespaces), named("v1", "Namespace", "", name, nil)); err != nil {
			return err
		}
	}
	for _, hash := range allHashes {
		text, err := json.Marshal(replicaSet(s.namespace, hash, 0))
		if err != nil {
			return err
		}
		made := &unstructured.Unstructured{}
		if err := json.Unmarshal(text, &made.Object); err != nil {
			return err
		}
		unstructured.RemoveNestedField(made.Object, "status")
		if err := ensure(s.client.Resource(replicaSets).Namespace(s.namespace), made); err != nil {
			return err
		}
	}
	return nil
}

// announce makes the Rollout stand in the cluster as a call carries it: what has lanes without a Rollout is cleared away.
// It takes the status that stands there, empty for no Rollout, and returns the new one.
func (s *side) announce(rollout *v1alpha1.Rollout, announced string) (string, error) {
	client := s.client.Resource(rollouts).Namespace(s.namespace)
	stored := rollout.DeepCopy()
	stored.TypeMeta = metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout"}
	stored.UID = ""
	stored.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "a"}}
	text, err := json.Marshal(stored)
	if err != nil {
		return announced, err
	}
	made := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &made.Object); err != nil {
		return announced, err
	}
	if announced == "" {
		if err := ensure(client, made.DeepCopy()); err != nil {
			return announced, err
		}
	}
	status, err := json.Marshal(object{"status": made.Object["status"]})
	if err != nil || string(status) == announced {
		return announced, err
	}
	patch, err := json.Marshal(mergePatch(announced, made.Object["status"]))
	if err != nil {
		return announced, err
	}
	_, err = client.Patch(context.TODO(), rollout.Name, k8stypes.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return string(status), err
}

// mergePatch is the new status, and null for what the one that stands has and the new one hasn't.
func mergePatch(announced string, status any) object {
	var old object
	if json.Unmarshal([]byte(announced), &old) != nil {
		old = object{}
	}
	var without func(old, next any) any
	without = func(old, next any) any {
		before, is := old.(object)
		after, both := next.(object)
		if !is || !both {
			return next
		}
		patch := object{}
		for field := range before {
			patch[field] = nil
		}
		for field, value := range after {
			patch[field] = without(before[field], value)
		}
		return patch
	}
	return object{"status": without(old["status"], status)}
}

// retire deletes the Rollout.
func (s *side) retire(name string) {
	_ = s.client.Resource(rollouts).Namespace(s.namespace).Delete(context.TODO(), name, metav1.DeleteOptions{})
}

const meshNamespace = "istio-system"

func prepareWasmPlugin(client dynamic.Interface) error {
	if err := ensure(client.Resource(namespaces), named("v1", "Namespace", "", meshNamespace, nil)); err != nil {
		return err
	}
	return ensure(client.Resource(wasmPlugins).Namespace(meshNamespace),
		named("extensions.istio.io/v1alpha1", "WasmPlugin", meshNamespace, "serin",
			object{"spec": object{"url": "file:///none", "failStrategy": "FAIL_OPEN"}}))
}

// policyRules are the names of the rules that the Rollout's policy has, in order.
func policyRules(client dynamic.Interface, namespace, rollout string) ([]string, error) {
	plugin, err := client.Resource(wasmPlugins).Namespace(meshNamespace).Get(context.TODO(), "serin", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	policy, _, _ := unstructured.NestedMap(plugin.Object, "spec", "pluginConfig", "rollouts", namespace+"/"+rollout)
	var names []string
	for _, rule := range list(policy["rules"]) {
		names = append(names, text(rule["name"]))
	}
	return names, nil
}
