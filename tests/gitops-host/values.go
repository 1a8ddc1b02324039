package main

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// spec is an object's spec.
func spec(one *object) map[string]any {
	found, _ := one.Object["spec"].(map[string]any)
	return found
}

// list is a field that holds a list, empty where there is none.
func list(in map[string]any, name string) []any {
	found, _ := in[name].([]any)
	return found
}

func nestedInt(one *object, path ...string) (int64, bool, error) {
	return unstructured.NestedInt64(one.Object, path...)
}
