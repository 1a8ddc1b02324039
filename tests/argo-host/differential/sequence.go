package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// object is a VirtualService's or DestinationRule's spec, or part of it.
type object = map[string]any

// sequence is one test: objects, a Rollout, and calls.
type sequence struct {
	// Name says where it comes from: a table case's name, or seed and index.
	Name string `json:"name"`
	// Canary is the Rollout's strategy. Names of VirtualServices may end in ".ELSEWHERE", which stands for a second
	// namespace.
	Canary v1alpha1.CanaryStrategy `json:"canary"`
	// VirtualServices by name ("name" or "name.ELSEWHERE"): each one's spec.
	VirtualServices map[string]object `json:"virtualServices"`
	// DestinationRules by name.
	DestinationRules map[string]object `json:"destinationRules,omitempty"`
	// Lanes is empty, or who keeps the lane routes.
	Lanes string `json:"lanes,omitempty"`
	Calls []call `json:"calls"`
	// history is what its calls so far have made of the steps.
	history history
}

const (
	// declared has the user write the lane routes, which they have done.
	declared = "declared"
	// undeclared has the user write the lane routes, which they have not.
	undeclared = "undeclared"
)

// state is what a call carries of the Rollout's status, and the ReplicaSets at that moment.
type state struct {
	Current   string `json:"current"`
	Stable    string `json:"stable"`
	Step      *int32 `json:"step,omitempty"`
	Abort     bool   `json:"abort,omitempty"`
	Promote   bool   `json:"promoteFull,omitempty"`
	StablePng string `json:"stablePingPong,omitempty"`
	// Available pods of two wanted ones, by hash; a hash that is missing has no ReplicaSet.
	Pods map[string]int32 `json:"pods"`
}

// call is one call of the controller's.
type call struct {
	Method     string                       `json:"method"`
	Weight     int32                        `json:"weight,omitempty"`
	Canary     string                       `json:"canaryHash,omitempty"`
	Stable     string                       `json:"stableHash,omitempty"`
	Additional []v1alpha1.WeightDestination `json:"additional,omitempty"`
	Header     *v1alpha1.SetHeaderRoute     `json:"header,omitempty"`
	Mirror     *v1alpha1.SetMirrorRoute     `json:"mirror,omitempty"`
	State      state                        `json:"state"`
	// Remove is an object that a user deletes before the call: "VirtualService/name" or "DestinationRule/name".
	Remove string `json:"remove,omitempty"`
}

const (
	setWeight           = "SetWeight"
	updateHash          = "UpdateHash"
	verifyWeight        = "VerifyWeight"
	setHeaderRoute      = "SetHeaderRoute"
	setMirrorRoute      = "SetMirrorRoute"
	removeManagedRoutes = "RemoveManagedRoutes"
)

func (c call) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// istio is the block as a user writes it.
func (s *sequence) istio() *v1alpha1.IstioTrafficRouting { return s.Canary.TrafficRouting.Istio }

// references are the VirtualServices that the Rollout names.
func references(istio *v1alpha1.IstioTrafficRouting) []*v1alpha1.IstioVirtualService {
	if istio.VirtualServices == nil {
		return []*v1alpha1.IstioVirtualService{istio.VirtualService}
	}
	var all []*v1alpha1.IstioVirtualService
	for i := range istio.VirtualServices {
		all = append(all, &istio.VirtualServices[i])
	}
	return all
}

// services are stable and canary, as GetStableAndCanaryServices of the controller has them.
func (s *sequence) services(at state) (stable, canary string) {
	c := &s.Canary
	if c.PingPong == nil || c.StableService != "" || c.CanaryService != "" {
		return c.StableService, c.CanaryService
	}
	if at.StablePng == string(v1alpha1.PPPing) {
		return c.PingPong.PingService, c.PingPong.PongService
	}
	return c.PingPong.PongService, c.PingPong.PingService
}

// managed says if name is one of the header and mirror routes'.
func (s *sequence) managed(name string) bool {
	return name != "" && slices.ContainsFunc(s.Canary.TrafficRouting.ManagedRoutes,
		func(one v1alpha1.MangedRoutes) bool { return one.Name == name })
}

// added says if a route is the built-in's own header or mirror route.
func (s *sequence) added(route object) bool { return s.managed(text(route["name"])) }

// describe is everything needed to understand a failure, but the calls.
func (s *sequence) describe() string {
	canary, err := json.Marshal(s.Canary)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s\n  strategy.canary: %s", s.Name, canary)
}
