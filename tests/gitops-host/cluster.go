package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

type object = unstructured.Unstructured

var (
	virtualServices  = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	destinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	wasmPlugins      = schema.GroupVersionResource{Group: "extensions.istio.io", Version: "v1alpha1", Resource: "wasmplugins"}
	rollouts         = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	applications     = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	projects         = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "appprojects"}
	definitions      = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	namespaces       = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	secrets          = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMaps       = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	events           = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// manager is the field manager of what the check itself writes.
const manager = "gitops-host"

// patience is how long anything may take that has to happen.
const patience = 90 * time.Second

// cluster is the API server of the stack.
type cluster struct {
	client dynamic.Interface
	config *rest.Config
}

func connect(config *rest.Config) (*cluster, error) {
	unlimited := rest.CopyConfig(config)
	unlimited.QPS, unlimited.Burst = -1, -1
	client, err := dynamic.NewForConfig(unlimited)
	return &cluster{client, config}, err
}

func (c *cluster) of(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(resource)
	}
	return c.client.Resource(resource).Namespace(namespace)
}

func (c *cluster) get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*object, error) {
	return c.of(resource, namespace).Get(ctx, name, metav1.GetOptions{})
}

// write creates an object or replaces the spec and data of one that exists.
func (c *cluster) write(ctx context.Context, resource schema.GroupVersionResource, one *object) error {
	options := metav1.ApplyOptions{FieldManager: manager, Force: true}
	_, err := c.of(resource, one.GetNamespace()).Apply(ctx, one.GetName(), one, options)
	if err != nil {
		return fmt.Errorf("applying %s %s/%s: %w", one.GetKind(), one.GetNamespace(), one.GetName(), err)
	}
	return nil
}

// merge sends a merge patch.
func (c *cluster) merge(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, patch any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = c.of(resource, namespace).Patch(ctx, name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return fmt.Errorf("patching %s %s/%s: %w", resource.Resource, namespace, name, err)
	}
	return nil
}

// mergeStatus sends a merge patch to the status.
func (c *cluster) mergeStatus(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, patch any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: manager}
	_, err = c.of(resource, namespace).Patch(ctx, name, types.MergePatchType, text, options, "status")
	return err
}

// until asks again and again, and ends with what was missing last if that takes too long.
func until(ctx context.Context, what string, limit time.Duration, look func() (missing string, err error)) error {
	deadline := time.Now().Add(limit)
	for {
		missing, err := look()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: after %s: %s", what, limit, missing)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// text is a string field, empty where there is none.
func text(one *object, path ...string) string {
	found, _, _ := unstructured.NestedString(one.Object, path...)
	return found
}
