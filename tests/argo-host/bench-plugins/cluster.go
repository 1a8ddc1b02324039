package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	k8serrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// writers make the objects at the same time.
const writers = 8

var (
	virtualServices  = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	destinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	wasmPlugins      = schema.GroupVersionResource{Group: "extensions.istio.io", Version: "v1alpha1", Resource: "wasmplugins"}
)

// cluster is the API server, as an administrator sees it.
type cluster struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	version string
}

func connect(kubeconfig string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	c := &cluster{}
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	version, err := c.kube.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("the API server's version: %w", err)
	}
	c.version = version.GitVersion
	return c, nil
}

// prepare makes the objects of every plugin.
func (c *cluster) prepare(contestants []contestant) error {
	if err := c.namespace("istio-system"); err != nil {
		return err
	}
	if err := c.create(wasmPlugins, wasmPlugin()); err != nil {
		return err
	}
	type job struct {
		key string
		at  place
	}
	var jobs []job
	for _, contestant := range contestants {
		for i := range namespaces {
			if err := c.namespace(namespaceOf(contestant.key, i)); err != nil {
				return err
			}
		}
		for i := range rollouts {
			jobs = append(jobs, job{contestant.key, placeOf(contestant.key, i)})
		}
	}
	queue := make(chan job)
	errs := make(chan error, len(jobs))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for job := range queue {
				errs <- c.objectsOf(job.key, job.at)
			}
		})
	}
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) objectsOf(key string, at place) error {
	if err := c.create(virtualServices, virtualService(key, at)); err != nil {
		return err
	}
	if err := c.create(destinationRules, destinationRule(key, at)); err != nil {
		return err
	}
	for _, hash := range []string{stableHash, canaryHashes[0], canaryHashes[1]} {
		set := replicaSet(key, at, hash)
		sets := c.kube.AppsV1().ReplicaSets(at.namespace)
		made, err := sets.Create(context.TODO(), set, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("ReplicaSet %s/%s: %w", at.namespace, set.Name, err)
		}
		made.Status = set.Status
		if _, err := sets.UpdateStatus(context.TODO(), made, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("status of ReplicaSet %s/%s: %w", at.namespace, set.Name, err)
		}
	}
	return nil
}

func (c *cluster) namespace(name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.kube.CoreV1().Namespaces().Create(context.TODO(), namespace, metav1.CreateOptions{})
	if err != nil && !k8serrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

func (c *cluster) create(resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	client := c.dynamic.Resource(resource).Namespace(object.GetNamespace())
	_, err := client.Create(context.TODO(), object, metav1.CreateOptions{})
	if err != nil && !k8serrors.IsAlreadyExists(err) {
		return fmt.Errorf("%s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
	}
	return nil
}

// check that the objects are where the calls should have brought them: a plugin that answers without
// having written would win every comparison.
func (c *cluster) check(at place, weight int32, hash string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rule, err := c.dynamic.Resource(destinationRules).Namespace(at.namespace).Get(ctx, at.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	subsets, _, _ := unstructured.NestedSlice(rule.Object, "spec", "subsets")
	found := map[string]string{}
	for _, subset := range subsets {
		if subset, ok := subset.(map[string]any); ok {
			name, _, _ := unstructured.NestedString(subset, "name")
			found[name], _, _ = unstructured.NestedString(subset, "labels", v1alpha1.DefaultRolloutUniqueLabelKey)
		}
	}
	if found["canary"] != hash || found["stable"] != stableHash {
		return fmt.Errorf("DestinationRule %s/%s has the hashes %v, expected canary %s", at.namespace, at.name, found, hash)
	}
	service, err := c.dynamic.Resource(virtualServices).Namespace(at.namespace).Get(ctx, at.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	routes, _, _ := unstructured.NestedSlice(service.Object, "spec", "http")
	if len(routes) != 3 {
		return fmt.Errorf("VirtualService %s/%s has %d routes", at.namespace, at.name, len(routes))
	}
	destinations, _, _ := unstructured.NestedSlice(routes[2].(map[string]any), "route")
	weights := map[string]int64{}
	for _, destination := range destinations {
		if destination, ok := destination.(map[string]any); ok {
			subset, _, _ := unstructured.NestedString(destination, "destination", "subset")
			// Zero may be left out.
			weights[subset], _, _ = unstructured.NestedInt64(destination, "weight")
		}
	}
	if weights["canary"] != int64(weight) || weights["stable"] != int64(100-weight) {
		return fmt.Errorf("VirtualService %s/%s has the weights %v, expected canary %d", at.namespace, at.name, weights, weight)
	}
	return nil
}
