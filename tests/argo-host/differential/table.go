package main

import (
	"fmt"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// tableCase begins a case: a canary at hash bbb222 with pods, stable at aaa111, both Services, one VirtualService "vs0".
type tableCase struct{ *sequence }

func newCase(name string, http ...any) tableCase {
	traffic := &v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{
		VirtualService: &v1alpha1.IstioVirtualService{Name: "vs0"},
	}}
	return tableCase{&sequence{
		Name:             "case: " + name,
		Canary:           v1alpha1.CanaryStrategy{StableService: stableService, CanaryService: canaryService, TrafficRouting: traffic},
		VirtualServices:  map[string]object{"vs0": {"hosts": []any{"reviews"}, "http": http}},
		DestinationRules: map[string]object{},
	}}
}

func destination(host, subset string, weight int) any {
	target := object{"host": host}
	if subset != "" {
		target["subset"] = subset
	}
	return object{"destination": target, "weight": int64(weight)}
}

func route(name string, destinations ...any) any {
	one := object{"route": destinations, "timeout": "3s"}
	if name != "" {
		one["name"] = name
	}
	return one
}

// fullName is the full name of a Service in the Rollout's namespace.
func fullName(service string) string { return service + "." + home + ".svc.cluster.local" }

func hosts() []any {
	return []any{destination(stableService, "", 100), destination(canaryService, "", 0)}
}

func subsets() []any {
	return []any{destination(subsetHost, stableSubset, 100), destination(subsetHost, canarySubset, 0)}
}

func subsetOf(name string, labels ...string) object {
	one := object{"name": name}
	if len(labels) > 0 {
		all := object{}
		for i := 0; i < len(labels); i += 2 {
			all[labels[i]] = labels[i+1]
		}
		one["labels"] = all
	}
	return one
}

const hashLabel = v1alpha1.DefaultRolloutUniqueLabelKey

// rule adds a DestinationRule; without Services unless they are set afterwards.
func (t tableCase) rule(subsets ...any) tableCase {
	t.DestinationRules["reviews"] = object{"host": subsetHost, "subsets": subsets}
	t.istio().DestinationRule = &v1alpha1.IstioDestinationRule{Name: "reviews", CanarySubsetName: canarySubset, StableSubsetName: stableSubset}
	t.Canary.StableService, t.Canary.CanaryService = "", ""
	return t
}

func (t tableCase) routes(names ...string) tableCase {
	t.istio().VirtualService.Routes = names
	return t
}

func (t tableCase) maximum(weight int32) tableCase {
	t.Canary.TrafficRouting.MaxTrafficWeight = &weight
	return t
}

// header and mirror steps, at index 0 and 1.
func (t tableCase) steps() tableCase {
	t.Canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "shadow"}, {Name: "beta"}}
	t.Canary.Steps = []v1alpha1.CanaryStep{
		{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "beta", Match: []v1alpha1.HeaderRoutingMatch{
			{HeaderName: "x-beta", HeaderValue: &v1alpha1.StringMatch{Exact: "1"}}}}},
		{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "shadow", Match: []v1alpha1.RouteMatch{
			{Path: &v1alpha1.StringMatch{Prefix: "/"}}}}},
	}
	return t
}

func base() state {
	return state{Current: versionTwo, Stable: versionOne, Pods: map[string]int32{
		versionOne: wantedPods, versionTwo: wantedPods, "exp444": wantedPods, "exp555": wantedPods,
	}}
}

func (t tableCase) call(c call, change ...func(*state)) tableCase {
	c.State = base()
	step := int32(0)
	c.State.Step = &step
	for _, one := range change {
		one(&c.State)
	}
	t.Calls = append(t.Calls, c)
	return t
}

func (t tableCase) weight(weight int32, additional ...v1alpha1.WeightDestination) tableCase {
	return t.call(call{Method: setWeight, Weight: weight, Additional: additional})
}

func (t tableCase) hash(change func(*state), additional ...v1alpha1.WeightDestination) tableCase {
	return t.call(call{Method: updateHash, Canary: versionTwo, Stable: versionOne, Additional: additional}, change)
}

func (t tableCase) header(change ...func(*state)) tableCase {
	return t.call(call{Method: setHeaderRoute, Header: t.Canary.Steps[0].SetHeaderRoute}, change...)
}

func (t tableCase) mirror() tableCase {
	return t.call(call{Method: setMirrorRoute, Mirror: t.Canary.Steps[1].SetMirrorRoute}, atStep(1))
}

func (t tableCase) clear() tableCase { return t.call(call{Method: removeManagedRoutes}) }

func atStep(index int32) func(*state) { return func(s *state) { s.Step = &index } }
func same(*state)                     {}
func noPods(s *state)                 { s.Pods = map[string]int32{versionOne: wantedPods, versionTwo: 0} }
func onePod(s *state)                 { s.Pods = map[string]int32{versionOne: wantedPods, versionTwo: 1} }
func promoted(s *state)               { s.Stable = versionTwo }
func aborted(s *state)                { s.Abort = true }
func lacks(s *state) {
	s.Pods = map[string]int32{versionOne: wantedPods, versionTwo: 1, versionThree: wantedPods}
}

func experiment(index int, weight int32, hash string) v1alpha1.WeightDestination {
	return v1alpha1.WeightDestination{ServiceName: fmt.Sprint("experiment-", index), PodTemplateHash: hash, Weight: weight}
}

// table are the cases written by hand: what is known of the built-in, and each difference on purpose.
func table() []*sequence {
	one, two := experiment(1, 5, "exp444"), experiment(2, 7, "exp555")
	var all []*sequence
	for _, c := range []tableCase{
		newCase("weights of an only route", route("", hosts()...)).weight(10).weight(10).weight(100).weight(0),
		newCase("a Service under its longer names", route("", destination(stableService+"."+home, "", 100),
			destination(fullName(canaryService), "", 0))).weight(30),
		newCase("Services of the same names elsewhere", route("", destination(fullName(stableService), "", 100),
			destination(fullName(canaryService), "", 0), destination(stableService+".legacy.svc.cluster.local", "", 0),
			destination(canaryService+".example.com", "", 0))).weight(20).weight(100).weight(0),
		newCase("a Service of the canary's name elsewhere, with weight", route("", append(hosts(), destination(canaryService+".legacy", "", 20))...)).
			weight(20),
		newCase("nothing but a Service of the canary's name elsewhere", route("", destination(stableService, "", 100),
			destination(canaryService+".legacy.svc.cluster.local", "", 0))).weight(20),
		newCase("an experiment's name elsewhere", route("", append(hosts(), destination(one.ServiceName+".legacy.svc.cluster.local", "", 0))...)).
			weight(10, one).weight(20),
		newCase("named routes, others stay", route("a", hosts()...), route("b", hosts()...), route("c", hosts()...)).routes("a", "c").weight(20),
		newCase("several routes and none named", route("a", hosts()...), route("b", hosts()...)).weight(20),
		newCase("a route that is not there", route("a", hosts()...)).routes("b").weight(20),
		newCase("no canary destination", route("", destination(stableService, "", 100))).weight(20),
		newCase("a VirtualService that is gone", route("", hosts()...)).weight(20).
			call(call{Method: setWeight, Weight: 30, Remove: "VirtualService/vs0"}).clear(),
		newCase("maximum above 100", route("", destination(stableService, "", 1000), destination(canaryService, "", 0))).maximum(1000).
			weight(500).weight(1000).weight(0),
		newCase("a foreign destination with weight first", route("", destination("other", "", 20), destination(stableService, "", 60),
			destination(canaryService, "", 20))).weight(10),
		newCase("a foreign destination without weight", route("", destination("other", "", 0), destination(stableService, "", 60),
			destination(canaryService, "", 40))).weight(10),
		newCase("two experiments begin and end", route("", hosts()...)).weight(10, one, two).weight(10, two, one).weight(20),
		newCase("an experiment at weight 0 ends", route("", hosts()...)).weight(10, one).weight(10, experiment(1, 0, "exp444")).weight(20),
		newCase("header, mirror and weights at an only route", route("", hosts()...)).steps().header().weight(10).mirror().weight(20).
			call(call{Method: verifyWeight, Weight: 20}, atStep(1)).clear(),
		newCase("header and mirror at named routes", route("a", hosts()...), route("b", destination("other", "", 100))).routes("a").steps().
			header().mirror().weight(30).clear(),
		newCase("unnamed routes besides", route("a", hosts()...), route("", destination("other", "", 100)),
			route("", destination("another", "", 100))).routes("a").steps().header().weight(10).clear(),
		newCase("a header step where no route is named", route("a", hosts()...), route("b", hosts()...)).steps().header(),
		newCase("a header step after an abort", route("a", hosts()...), route("b", hosts()...)).steps().header(aborted),
		newCase("header route while the canary loses its pods", route("a", hosts()...)).steps().header().
			call(call{Method: removeManagedRoutes}, noPods).call(call{Method: setWeight}, noPods).weight(0),
		newCase("verified", route("", hosts()...)).call(call{Method: verifyWeight, Weight: 10}).weight(10).
			call(call{Method: verifyWeight, Weight: 10}),
		newCase("subsets follow the hashes", route("", subsets()...)).rule(subsetOf(canarySubset, "app", "a"), subsetOf(stableSubset)).
			hash(same).weight(10),
		newCase("foreign and additional subsets", route("", subsets()...)).rule(subsetOf("other", "app", "b"), subsetOf(canarySubset, "app", "a"),
			subsetOf(stableSubset, "app", "a")).hash(same),
		newCase("a canary without pods", route("", subsets()...)).rule(subsetOf(canarySubset, hashLabel, versionOne),
			subsetOf(stableSubset, hashLabel, versionOne)).hash(noPods).hash(onePod).hash(same),
		newCase("weight to a canary that lacks pods", route("", subsets()...)).rule(subsetOf(canarySubset, hashLabel, versionThree),
			subsetOf(stableSubset, hashLabel, versionOne)).hash(lacks).call(call{Method: setWeight, Weight: 70}, lacks).hash(same).weight(70).
			hash(onePod).call(call{Method: setWeight, Weight: 70}, onePod).call(call{Method: setWeight, Weight: 80}, onePod).weight(80),
		newCase("a promotion to a version that lacks pods", route("", subsets()...)).rule(subsetOf(canarySubset, hashLabel, versionTwo),
			subsetOf(stableSubset, hashLabel, versionOne)).weight(20).
			call(call{Method: updateHash, Canary: versionTwo, Stable: versionTwo}, promoted, onePod).
			call(call{Method: setWeight}, promoted, onePod).
			call(call{Method: updateHash, Canary: versionTwo, Stable: versionTwo}, promoted).call(call{Method: setWeight}, promoted),
		newCase("ping-pong Services to a version that lacks pods", route("", hosts()...)).pingPong().
			call(call{Method: setWeight, Weight: 70}, onePod).weight(70),
		newCase("weight to a canary without pods", route("", subsets()...)).rule(subsetOf(canarySubset, hashLabel, versionOne),
			subsetOf(stableSubset, hashLabel, versionOne)).call(call{Method: setWeight, Weight: 10}, noPods),
		newCase("no canary subset", route("", subsets()...)).rule(subsetOf(stableSubset, "app", "a")).hash(same),
		newCase("an experiment's subset without labels", route("", subsets()...)).rule(subsetOf(canarySubset, "app", "a"),
			subsetOf(stableSubset, "app", "a"), subsetOf(one.ServiceName)).hash(same, one),
		newCase("an experiment's subset without a hash", route("", subsets()...)).rule(subsetOf(canarySubset, "app", "a"),
			subsetOf(stableSubset, "app", "a"), subsetOf(one.ServiceName, hashLabel, "exp444")).hash(same, experiment(1, 5, "")),
		newCase("experiments' subsets come with weight", route("", subsets()...)).rule(subsetOf(canarySubset, "app", "a"),
			subsetOf(stableSubset, "app", "a")).hash(same).weight(10, one).hash(same).weight(10),
		newCase("several destinations of a side", route("", append(hosts(), destination(canaryService+"."+home, "", 0),
			destination(stableService+"."+home, "", 0))...)).weight(25).weight(100).weight(0),
		newCase("more than the maximum", route("", hosts()...)).weight(80, experiment(1, 15, "exp444"), experiment(2, 30, "exp555")).
			weight(100, two).weight(130).weight(50, one),
		newCase("an additional subset takes what the canary asks for", route("", destination(subsetHost, additionalSubset, 30),
			destination(subsetHost, stableSubset, 70), destination(subsetHost, canarySubset, 0))).keptCase().weight(20).weight(90, one).weight(0),
		newCase("an additional subset at the canary's Service", route("", destination(canaryService, additionalSubset, 30),
			destination(stableService, stableSubset, 70), destination(canaryService, canarySubset, 0))).keptCase().services().weight(20),
		newCase("an experiment without a Service", route("", hosts()...)).weight(10, v1alpha1.WeightDestination{PodTemplateHash: "exp444", Weight: 5}, two),
		newCase("experiments of one Service", route("", hosts()...)).weight(10, one, experiment(1, 8, "exp444")).weight(20, one),
		newCase("negative weights", route("", hosts()...)).weight(-1).weight(10, experiment(1, -5, "exp444")).weight(10),
		newCase("lists without routes", route("", hosts()...)).lists("tls", []any{}).lists("tcp", []any{}).weight(10),
		newCase("an empty list, and a route named", []any{}...).lists("tcp", []any{object{"route": hosts()}}).routes("a").weight(10),
		newCase("lists that are null", route("", hosts()...)).lists("tls", nil).lists("tcp", nil).weight(10),
		newCase("routes listed of protocols that are not there", route("", hosts()...)).listed().weight(10).weight(20),
		newCase("no routes at all").lists("http", nil).weight(10),
		newCase("a redirect as managed route", answering("redirect", object{"uri": "/elsewhere"})).weight(10),
		newCase("a direct response as managed route", answering("directResponse", object{"status": int64(503)})).weight(10),
		newCase("a delegate as managed route", object{"name": "a", "delegate": object{"name": "other"}}).weight(10),
		newCase("the stable subset at the canary's Service", route("", destination(canaryService, stableSubset, 100),
			destination(canaryService, canarySubset, 0))).rule(subsetOf(canarySubset, hashLabel, versionTwo), subsetOf(stableSubset)).services().weight(10),
		newCase("an only route under a managed name", route("shadow", hosts()...)).steps().weight(10).header().weight(20).mirror().weight(30).clear(),
		newCase("the user's mirror route under a managed name", mirrored(route("shadow", hosts()...)), route("a", hosts()...)).routes("a", "shadow").
			steps().weight(10).mirror().weight(30).clear(),
		newCase("moved in mid-canary", object{"name": "shadow", "match": []any{object{"uri": object{"prefix": "/"}}}, "route": hosts(),
			"mirror": object{"host": canaryService}, "mirrorPercentage": object{"value": int64(100)}},
			object{"name": "beta", "match": []any{object{"headers": object{"x-beta": object{"exact": "1"}}}},
				"route": []any{destination(canaryService, "", 100)}}, route("a", hosts()...)).routes("a").steps().
			call(call{Method: updateHash, Canary: versionTwo, Stable: versionOne}, atStep(1)).
			call(call{Method: verifyWeight, Weight: 10}, atStep(1)).call(call{Method: setWeight, Weight: 10}, atStep(1)).mirror().clear(),
		newCase("moved in mid-canary, no route named", object{"name": "beta", "match": []any{object{"headers": object{"x-beta": object{"exact": "1"}}}},
			"route": []any{destination(canaryService, "", 100)}}, route("", hosts()...)).steps().weight(10).header().weight(20).clear(),
		newCase("TLS routes with hosts in common, TCP routes with ports in common").lists("http", nil).
			lists("tls", []any{tlsRoute(443, "a.example.com", "b.example.com"), tlsRoute(443, "a.example.com"), tlsRoute(8443, "a.example.com")}).
			lists("tcp", []any{tcpRoute(70, 71), tcpRoute(70), tcpRoute(71), tcpRoute(70, 70)}).
			matched(443, "a.example.com").weight(10),
		newCase("TLS hosts that no route has alone").lists("http", nil).
			lists("tls", []any{tlsRoute(443, "a.example.com", "b.example.com"), tlsRoute(443, "b.example.com")}).matched(443, "a.example.com").weight(10),
		delegateCase().weight(10).weight(40),
		newCase("declared lanes", route("a", hosts()...), route("b", hosts()...)).routes("a", "b").steps().lanes(declared).
			header().weight(10).mirror().weight(30).clear().weight(0),
		newCase("declared lanes that are not there", route("a", hosts()...)).steps().lanes(undeclared).weight(10).header().clear(),
		severalCase(),
		elsewhereCase("an experiment in another namespace's VirtualService", destination(fullName(stableService), "", 100),
			destination(fullName(canaryService), "", 0)).weight(10, one).weight(20),
		elsewhereCase("short names in another namespace's VirtualService", hosts()...).weight(10),
		protocolsCase(),
	} {
		all = append(all, c.sequence)
	}
	return all
}

// keptCase has a DestinationRule with an additional subset.
func (t tableCase) keptCase() tableCase {
	t.rule(subsetOf(canarySubset, hashLabel, versionTwo), subsetOf(stableSubset, hashLabel, versionOne), subsetOf(additionalSubset, "a", "b"))
	t.istio().DestinationRule.AdditionalSubsetNames = []string{additionalSubset}
	return t
}

// services names both Services beside a DestinationRule.
func (t tableCase) services() tableCase {
	t.Canary.StableService, t.Canary.CanaryService = stableService, canaryService
	return t
}

// pingPong has Services that swap sides.
func (t tableCase) pingPong() tableCase {
	t.Canary.StableService, t.Canary.CanaryService = "", ""
	t.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: canaryService, PongService: stableService}
	return t
}

// lists puts a protocol's list in place; nil stands for null, and leaves http out.
func (t tableCase) lists(protocol string, value any) tableCase {
	t.VirtualServices["vs0"][protocol] = value
	if protocol == "http" && value == nil {
		delete(t.VirtualServices["vs0"], protocol)
	}
	return t
}

// listed names routes of protocols that the VirtualService lacks.
func (t tableCase) listed() tableCase {
	t.istio().VirtualService.TLSRoutes = []v1alpha1.TLSRoute{{Port: 443, SNIHosts: []string{"a.example.com"}}}
	t.istio().VirtualService.TCPRoutes = []v1alpha1.TCPRoute{{Port: 70}}
	return t
}

func (t tableCase) lanes(kept string) tableCase {
	t.Lanes = kept
	return t
}

// answering is a route that has destinations and doesn't use them.
func answering(field string, value object) any {
	one, _ := route("a", hosts()...).(object)
	one[field] = value
	return one
}

func mirrored(one any) any {
	fields, _ := one.(object)
	fields["mirror"] = object{"host": "audit"}
	return fields
}

func tlsRoute(port int, names ...string) any {
	var all []any
	for _, name := range names {
		all = append(all, name)
	}
	return object{"match": []any{object{"port": int64(port), "sniHosts": all}}, "route": hosts()}
}

func tcpRoute(ports ...int) any {
	var matches []any
	for _, port := range ports {
		matches = append(matches, object{"port": int64(port)})
	}
	return object{"match": matches, "route": hosts()}
}

// matched names a TLS route, and the TCP route at port 70.
func (t tableCase) matched(port int64, names ...string) tableCase {
	t.istio().VirtualService.TLSRoutes = []v1alpha1.TLSRoute{{Port: port, SNIHosts: names}}
	t.istio().VirtualService.TCPRoutes = []v1alpha1.TCPRoute{{Port: 70}}
	return t
}

// delegateCase has a VirtualService that takes its hosts from another one.
func delegateCase() tableCase {
	c := newCase("a delegate's weights", route("a", hosts()...))
	delete(c.VirtualServices["vs0"], "hosts")
	return c
}

// severalCase has a second VirtualService that doesn't suit, behind one that does.
func severalCase() tableCase {
	c := newCase("the second VirtualService doesn't suit", route("", hosts()...))
	c.VirtualServices["vs1."+elsewhere] = object{"hosts": []any{"reviews"}, "http": []any{route("", destination(stableService, "", 100))}}
	c.istio().VirtualServices = []v1alpha1.IstioVirtualService{{Name: "vs0"}, {Name: "vs1." + elsewhere}}
	c.istio().VirtualService = nil
	return c.weight(10)
}

// elsewhereCase has its VirtualService in another namespace.
func elsewhereCase(name string, destinations ...any) tableCase {
	c := newCase(name)
	c.VirtualServices = map[string]object{"vs0." + elsewhere: {"hosts": []any{"reviews"}, "http": []any{route("", destinations...)}}}
	c.istio().VirtualService.Name = "vs0." + elsewhere
	return c
}

// protocolsCase moves all protocols, listed or not.
func protocolsCase() tableCase {
	c := newCase("http, tls and tcp together", route("", hosts()...))
	tls := func(port int, host string) any {
		return object{"match": []any{object{"port": int64(port), "sniHosts": []any{host}}}, "route": hosts()}
	}
	c.VirtualServices["vs0"]["tls"] = []any{tls(443, "a.example.com"), tls(8443, "b.example.com")}
	c.VirtualServices["vs0"]["tcp"] = []any{object{"route": hosts()}}
	c.istio().VirtualService.TLSRoutes = []v1alpha1.TLSRoute{{Port: 8443, SNIHosts: []string{"b.example.com"}}}
	return c.weight(25).weight(0)
}
