package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// version is an object as it was from a moment on.
type version struct {
	at     time.Time
	object *object
}

// recorder keeps every version of one object that its watch tells of.
type recorder struct {
	mutex    sync.Mutex
	versions []version
	broken   error
}

// record watches an object until the context ends. The first version is the one that exists.
func record(ctx context.Context, on *cluster, resource schema.GroupVersionResource, namespace, name string) (*recorder, error) {
	first, err := on.get(ctx, resource, namespace, name)
	if err != nil {
		return nil, err
	}
	watched, err := on.of(resource, namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector:   "metadata.name=" + name,
		ResourceVersion: first.GetResourceVersion(),
	})
	if err != nil {
		return nil, err
	}
	one := &recorder{versions: []version{{time.Now(), first}}}
	go func() {
		defer watched.Stop()
		for event := range watched.ResultChan() {
			one.mutex.Lock()
			if found, is := event.Object.(*object); is && event.Type == watch.Modified {
				one.versions = append(one.versions, version{time.Now(), found})
			} else if one.broken == nil {
				one.broken = fmt.Errorf("watch of %s: %s %v", name, event.Type, event.Object)
			}
			one.mutex.Unlock()
		}
	}()
	return one, nil
}

// all are the versions so far.
func (r *recorder) all() ([]version, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]version{}, r.versions...), r.broken
}

// firstChange is the first version whose spec differs from the one that existed at the beginning; nil if there is none.
// Serin writes an object only when another writer has changed it, so what comes first is the other's.
func (r *recorder) firstChange() (*object, error) {
	versions, err := r.all()
	for _, one := range versions[1:] {
		if one.object.GetGeneration() != versions[0].object.GetGeneration() {
			return one.object, err
		}
	}
	return nil, err
}

// share is the part of the time from the first version until now in which `is` was true of the object.
func (r *recorder) share(is func(*object) bool) (float64, error) {
	versions, err := r.all()
	var sum time.Duration
	now := time.Now()
	for index, one := range versions {
		end := now
		if index+1 < len(versions) {
			end = versions[index+1].at
		}
		if is(one.object) {
			sum += end.Sub(one.at)
		}
	}
	return sum.Seconds() / now.Sub(versions[0].at).Seconds(), err
}
