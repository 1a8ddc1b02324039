package main

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

const (
	// rollouts that each plugin serves.
	rollouts = 100
	// namespaces that they are spread over.
	namespaces = 10
	// benchLabel is on every object; its value is whose it is.
	benchLabel = "bench"
	// block is where Rollouts configure the plugin, whichever it is.
	block = "serin/istio"

	stableHash = "5d8f4c7b9"
)

// canaryHashes are the versions that the canary subset is moved between.
var canaryHashes = [2]string{"7c9d5b6f8", "6b8c4a5e7"}

// place is where a Rollout of a plugin is.
type place struct{ namespace, name string }

func placeOf(key string, index int) place {
	return place{namespaceOf(key, index%namespaces), fmt.Sprintf("checkout-%d", index)}
}

func namespaceOf(key string, index int) string { return fmt.Sprintf("bench-%s-%d", key, index) }

// rolloutAt is a Rollout of the usual size, as the controller would send it while its canary of the
// version `canary` is under way: a subset-level split, one VirtualService and one DestinationRule.
func rolloutAt(key string, at place, canary string) *v1alpha1.Rollout {
	replicas, index, ten, fifty := int32(5), int32(1), int32(10), int32(50)
	available := intstr.FromString("25%")
	configuration, err := json.Marshal(map[string]any{
		"virtualService": map[string]any{"name": at.name, "routes": []string{"primary"}},
		"destinationRule": map[string]any{
			"name": at.name, "canarySubsetName": "canary", "stableSubsetName": "stable",
		},
	})
	if err != nil {
		panic(err) // Strings and maps of them can be marshalled
	}
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{
			Name: at.name, Namespace: at.namespace, UID: "8f0f7f0e-51d5-4a51-9d2b-6a0d9a0f6a11",
			Generation: 3, ResourceVersion: "4711", Labels: labelsOf(key, at),
			Annotations: map[string]string{"rollout.argoproj.io/revision": "2"},
		},
		Spec: v1alpha1.RolloutSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": at.name}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": at.name}},
				Spec:       podSpec(),
			},
			Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
				MaxUnavailable: &available,
				Steps: []v1alpha1.CanaryStep{
					{SetWeight: &ten}, {Pause: &v1alpha1.RolloutPause{}},
					{SetWeight: &fifty}, {Pause: &v1alpha1.RolloutPause{}},
				},
				TrafficRouting: &v1alpha1.RolloutTrafficRouting{
					Plugins: map[string]json.RawMessage{block: configuration},
				},
			}},
		},
		Status: v1alpha1.RolloutStatus{
			CurrentPodHash: canary, StableRS: stableHash, CurrentStepIndex: &index, CurrentStepHash: "66f4d9c5b",
			Replicas: 6, ReadyReplicas: 6, AvailableReplicas: 6, UpdatedReplicas: 1, HPAReplicas: 6,
			Selector: "app=" + at.name, ObservedGeneration: "3", Phase: v1alpha1.RolloutPhasePaused,
			Message: "CanaryPauseStep",
		},
	}
}

// withManagedRoutes is the same Rollout with a header route in its list, of which nothing stands.
func withManagedRoutes(rollout *v1alpha1.Rollout) *v1alpha1.Rollout {
	changed := rollout.DeepCopy()
	changed.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "beta-users"}}
	return changed
}

func podSpec() corev1.PodSpec {
	probe := &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/healthz", Port: intstr.FromString("http"),
		}},
		PeriodSeconds: 5, TimeoutSeconds: 1,
	}
	container := corev1.Container{
		Name: "app", Image: "registry.example.com/shop/checkout:1.14.2",
		Ports:         []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		LivenessProbe: probe, ReadinessProbe: probe,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")},
			Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
		},
	}
	for i := range 10 {
		container.Env = append(container.Env, corev1.EnvVar{
			Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("https://service-%d.example.com", i),
		})
	}
	return corev1.PodSpec{Containers: []corev1.Container{container}, ServiceAccountName: "checkout"}
}

func labelsOf(key string, at place) map[string]string {
	return map[string]string{benchLabel: key, "app": at.name}
}

// virtualService is a user's: three routes, of which the last is managed.
func virtualService(key string, at place) *unstructured.Unstructured {
	destination := func(subset string, weight int64) map[string]any {
		return map[string]any{"destination": map[string]any{"host": at.name, "subset": subset}, "weight": weight}
	}
	other := func(host string) []any {
		return []any{map[string]any{"destination": map[string]any{"host": host}}}
	}
	prefix := func(path string) []any {
		return []any{map[string]any{"uri": map[string]any{"prefix": path}}}
	}
	return object("networking.istio.io/v1", "VirtualService", key, at, map[string]any{
		"hosts":    []any{at.name, at.name + ".example.com"},
		"gateways": []any{"mesh", "istio-system/public"},
		"http": []any{
			map[string]any{
				"name": "assets", "match": prefix("/assets/"), "timeout": "3s", "route": other("assets"),
			},
			map[string]any{
				"name": "payments", "match": prefix("/payments/"), "route": other("payments"),
				"rewrite": map[string]any{"uri": "/"}, "timeout": "10s",
			},
			map[string]any{
				"name": "primary", "timeout": "5s",
				"retries": map[string]any{"attempts": int64(2), "perTryTimeout": "2s", "retryOn": "5xx,reset"},
				"route":   []any{destination("stable", 100), destination("canary", 0)},
			},
		},
	})
}

func destinationRule(key string, at place) *unstructured.Unstructured {
	subset := func(name, hash string) map[string]any {
		return map[string]any{"name": name, "labels": map[string]any{
			"app": at.name, v1alpha1.DefaultRolloutUniqueLabelKey: hash,
		}}
	}
	return object("networking.istio.io/v1", "DestinationRule", key, at, map[string]any{
		"host": at.name,
		"trafficPolicy": map[string]any{
			"connectionPool":   map[string]any{"http": map[string]any{"http2MaxRequests": int64(1000)}},
			"outlierDetection": map[string]any{"consecutive5xxErrors": int64(5), "interval": "10s"},
		},
		"subsets": []any{subset("stable", stableHash), subset("canary", canaryHashes[0])},
	})
}

func wasmPlugin() *unstructured.Unstructured {
	at := place{"istio-system", "serin"}
	return object("extensions.istio.io/v1alpha1", "WasmPlugin", "all", at, map[string]any{
		"url": "oci://registry.example.com/serin/filter:1", "pluginConfig": map[string]any{},
	})
}

func object(apiVersion, kind, key string, at place, spec map[string]any) *unstructured.Unstructured {
	labels := map[string]any{}
	for name, value := range labelsOf(key, at) {
		labels[name] = value
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": at.name, "namespace": at.namespace, "labels": labels},
		"spec":     spec,
	}}
}

// replicaSet of one version, all of its pods available.
func replicaSet(key string, at place, hash string) *appsv1.ReplicaSet {
	one := int32(1)
	pods := map[string]string{"app": at.name, v1alpha1.DefaultRolloutUniqueLabelKey: hash}
	labels := labelsOf(key, at)
	labels[v1alpha1.DefaultRolloutUniqueLabelKey] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: at.name + "-" + hash, Namespace: at.namespace, Labels: labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: pods},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pods},
				Spec:       podSpec(),
			},
		},
		Status: appsv1.ReplicaSetStatus{
			Replicas: 1, FullyLabeledReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, ObservedGeneration: 1,
		},
	}
}
