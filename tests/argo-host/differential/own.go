package main

import (
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// Routes that the user has written under a name of `managedRoutes`. The built-in takes them for its own, so its side of
// a test has them under another name, all the time; what is read on the plugin's side is renamed before it is compared.

// ownPrefix begins the names that such routes have on the built-in's side.
const ownPrefix = "users-"

// owned are the names of the user's own routes in a VirtualService that `managedRoutes` has too.
func (s *sequence) owned(reference *v1alpha1.IstioVirtualService) []string {
	all := list(s.VirtualServices[reference.Name]["http"])
	isManaged := func(route object) bool { return s.managed(text(route["name"])) }
	onlyManaged := !slices.ContainsFunc(all, func(route object) bool { return !isManaged(route) })
	var names []string
	for _, route := range all {
		name := text(route["name"])
		if isManaged(route) && (slices.Contains(reference.Routes, name) || len(reference.Routes) == 0 && onlyManaged) {
			names = append(names, name)
		}
	}
	return names
}

// ownsManaged says if there are such routes at all.
func (s *sequence) ownsManaged() bool {
	return slices.ContainsFunc(references(s.istio()), func(one *v1alpha1.IstioVirtualService) bool { return len(s.owned(one)) > 0 })
}

// hide renames such routes.
func (s *sequence) hide(all snapshot) snapshot {
	return s.rename(all, func(name string, owned []string) string {
		if slices.Contains(owned, name) {
			return ownPrefix + name
		}
		return name
	})
}

// bare names them as the user has.
func (s *sequence) bare(all snapshot) snapshot {
	return s.rename(all, func(name string, owned []string) string {
		for _, one := range owned {
			if name == ownPrefix+one {
				return one
			}
		}
		return name
	})
}

func (s *sequence) rename(all snapshot, change func(name string, owned []string) string) snapshot {
	if !s.ownsManaged() {
		return all
	}
	all = all.copy()
	for _, reference := range references(s.istio()) {
		owned := s.owned(reference)
		for _, route := range list(all["VirtualService/"+reference.Name]["http"]) {
			if name := text(route["name"]); name != "" {
				route["name"] = change(name, owned)
			}
		}
	}
	return all
}

// mendOwned stands for the renaming, which is done already.
func mendOwned(a *attempt) func(*attempt) {
	if a.call.Method == updateHash || !a.sequence.ownsManaged() {
		return nil
	}
	return func(*attempt) {}
}
