package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// filler sets every field of a value to something, each to something else, and the same at each run.
type filler struct {
	n    int64
	size int // elements of each list and map
}

func (f *filler) next() int64 {
	f.n++
	return f.n
}

func (f *filler) fill(v reflect.Value, depth int) {
	switch x := v.Addr().Interface().(type) {
	case *metav1.Time:
		*x = metav1.NewTime(time.Unix(1_700_000_000+f.next(), 0).UTC())
		return
	case *metav1.MicroTime:
		*x = metav1.NewMicroTime(time.Unix(1_700_000_000+f.next(), 0).UTC())
		return
	case *metav1.FieldsV1:
		x.Raw = fmt.Appendf(nil, `{"f:%d":{}}`, f.next())
		return
	case *json.RawMessage:
		*x = json.RawMessage(fmt.Sprintf(`{"n":%d,"list":[1,"a",null,true],"o":{"x":1.5}}`, f.next()))
		return
	case *intstr.IntOrString:
		if n := f.next(); n%2 == 0 {
			*x = intstr.FromInt32(int32(n))
		} else {
			*x = intstr.FromString(fmt.Sprintf("%d%%", n))
		}
		return
	}
	// The pod template is deep, and some of its types recur.
	size := f.size
	if depth > 10 {
		size = 1
	}
	if depth > 24 {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(f.next())
	case reflect.Uint8:
		v.SetUint(uint64(f.next() % 256))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.next()))
	case reflect.Float64:
		v.SetFloat(float64(f.next()) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprintf("%s-%d é", v.Type().Name(), f.next()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), size, size))
		for i := range size {
			f.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range size {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key, depth+1)
			f.fill(elem, depth+1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i), depth+1)
			}
		}
	}
}

func filled[T any](seed int64, size int) *T {
	value := new(T)
	(&filler{n: seed, size: size}).fill(reflect.ValueOf(value).Elem(), 0)
	return value
}

// largeRollout has every field set, lists of two. Some fields are made valid, as the controller
// marshals them on its own.
func largeRollout() *v1alpha1.Rollout {
	rollout := filled[v1alpha1.Rollout](1, 2)
	rollout.Spec.TemplateResolvedFromRef = false
	rollout.Spec.SelectorResolvedFromRef = false
	// Steps as validation allows them: one kind each.
	canary := rollout.Spec.Strategy.Canary
	step := canary.Steps[0]
	weight, zero := int32(10), int32(0)
	canary.Steps = []v1alpha1.CanaryStep{
		{SetWeight: &weight},
		{SetWeight: &zero},
		{Pause: &v1alpha1.RolloutPause{}},
		{Pause: step.Pause},
		{Experiment: step.Experiment},
		{Analysis: step.Analysis},
		{SetCanaryScale: step.SetCanaryScale},
		{SetHeaderRoute: step.SetHeaderRoute},
		{SetMirrorRoute: step.SetMirrorRoute},
		{Plugin: step.Plugin},
		step,
	}
	return rollout
}

// smallRollout is what a usual one sets.
func smallRollout() *v1alpha1.Rollout {
	replicas, index, ten := int32(5), int32(1), int32(10)
	rollout := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "quiet", Namespace: "shop", UID: "1", Generation: 3},
		Spec: v1alpha1.RolloutSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "reviews"}},
			Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
				CanaryService: "canary",
				StableService: "stable",
				Steps:         []v1alpha1.CanaryStep{{SetWeight: &ten}, {Pause: &v1alpha1.RolloutPause{}}},
				TrafficRouting: &v1alpha1.RolloutTrafficRouting{Plugins: map[string]json.RawMessage{
					name: json.RawMessage(`{"virtualService":{"name":"reviews"}}`),
				}},
			}},
		},
		Status: v1alpha1.RolloutStatus{CurrentPodHash: "7c9d5b", StableRS: "5d8f4c", CurrentStepIndex: &index},
	}
	rollout.Spec.Template.Labels = map[string]string{"app": "reviews"}
	return rollout
}
