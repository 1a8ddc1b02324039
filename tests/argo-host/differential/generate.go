package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

// Names that all sequences share.
const (
	stableService = "reviews-stable"
	canaryService = "reviews-canary"
	subsetHost    = "reviews"
	canarySubset  = "canary"
	stableSubset  = "stable"
	versionOne    = "aaa111"
	versionTwo    = "bbb222"
	versionThree  = "ccc333"
)

// allHashes are the ReplicaSets that each namespace has.
var allHashes = []string{versionOne, versionTwo, versionThree, "exp444", "exp555"}

// generator makes one sequence.
type generator struct {
	*rand.Rand
	s       *sequence
	maximum int32
	// subsets, services: which levels the split has.
	subsets, services bool
	experiments       bool
	at                state
	calls             []call
	rollout           string
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// rolloutName is the name of a generated sequence's Rollout.
func rolloutName(index int) string { return fmt.Sprintf("r%d", index) }

// generate makes the sequence of that index.
func generate(seed uint64, index int) *sequence {
	g := &generator{rollout: rolloutName(index), Rand: rand.New(rand.NewPCG(seed, uint64(index))), maximum: 100}
	g.s = &sequence{
		Name:            fmt.Sprintf("-seed %d -from %d -sequences 1", seed, index),
		VirtualServices: map[string]object{}, DestinationRules: map[string]object{},
	}
	traffic := &v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{}}
	g.s.Canary = v1alpha1.CanaryStrategy{TrafficRouting: traffic}
	switch g.IntN(4) {
	case 0, 1:
		g.services = true
	case 2:
		g.subsets = true
	case 3:
		g.subsets, g.services = true, true
	}
	if g.chance(15) {
		g.maximum = pick(g, int32(1000), 50, 10000)
		traffic.MaxTrafficWeight = &g.maximum
	}
	if g.services {
		if g.chance(15) {
			g.s.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: canaryService, PongService: stableService}
			if g.chance(50) {
				g.s.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: stableService, PongService: canaryService}
				g.at.StablePng = string(v1alpha1.PPPing)
			}
		} else {
			g.s.Canary.StableService, g.s.Canary.CanaryService = stableService, canaryService
		}
	}
	g.experiments = g.chance(25)
	managed := g.chance(30)
	count := 1
	if g.chance(25) {
		count = 2 + g.IntN(2)
	}
	for i := range count {
		g.virtualService(i, count > 1, managed)
	}
	if g.subsets {
		g.destinationRule()
	}
	if managed {
		for _, name := range []string{"beta", "shadow", "never"} {
			traffic.ManagedRoutes = append(traffic.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
		}
		g.Shuffle(3, func(i, j int) {
			all := traffic.ManagedRoutes
			all[i], all[j] = all[j], all[i]
		})
	}
	g.steps(managed)
	g.life()
	g.s.Calls = g.calls
	return g.s
}

func (g *generator) virtualService(index int, several, managed bool) {
	name := fmt.Sprintf("vs%d", index)
	if g.chance(10) {
		name += "." + elsewhere
	}
	spec := object{"hosts": []any{fmt.Sprintf("reviews%d.example.com", index)}, "gateways": []any{"mesh", "public"}}
	reference := v1alpha1.IstioVirtualService{Name: name}
	kinds := [][]string{{"http"}, {"http"}, {"http"}, {"http", "tls"}, {"http", "tcp"}, {"http", "tls", "tcp"}, {"tls"}, {"tcp"}, {"tls", "tcp"}}
	if managed {
		kinds = kinds[:6]
	}
	for _, protocol := range pick(g, kinds...) {
		switch protocol {
		case "http":
			spec["http"] = g.http(&reference)
		case "tls":
			spec["tls"] = g.tls(&reference)
		case "tcp":
			spec["tcp"] = g.tcp(&reference)
		}
	}
	g.s.VirtualServices[name] = spec
	istio := g.s.istio()
	if several {
		istio.VirtualServices = append(istio.VirtualServices, reference)
	} else {
		istio.VirtualService = &reference
	}
}

func (g *generator) http(reference *v1alpha1.IstioVirtualService) []any {
	count := 1
	if g.chance(50) {
		count = 2 + g.IntN(3)
	}
	var routes []object
	for i := range count {
		route := object{}
		if count > 1 && !g.chance(25) || g.chance(50) {
			route["name"] = fmt.Sprintf("route-%d", i)
		}
		if g.chance(60) || i+1 < count {
			route["match"] = g.matches()
		}
		g.extras(route)
		route["route"] = g.destinations(false)
		routes = append(routes, route)
	}
	if count == 1 {
		if name := text(routes[0]["name"]); name != "" && g.chance(50) {
			reference.Routes = []string{name}
		}
		return unlist(routes)
	}
	for _, route := range routes {
		name := text(route["name"])
		switch {
		case name != "" && g.chance(60):
			reference.Routes = append(reference.Routes, name)
		case g.chance(40):
			// Not the Rollout's: others' destinations, or no route at all.
			delete(route, "route")
			if g.chance(50) {
				route["redirect"] = object{"uri": "/elsewhere"}
				for _, field := range []string{"rewrite", "mirror", "mirrorPercentage", "mirrors", "fault"} {
					delete(route, field)
				}
			} else {
				route["route"] = []any{object{"destination": object{"host": "others"}, "weight": int64(100)}}
			}
		}
	}
	return unlist(routes)
}

// extras are fields that no router has to know.
func (g *generator) extras(route object) {
	for field, value := range map[string]any{
		"timeout":    "3s",
		"retries":    object{"attempts": int64(2), "perTryTimeout": "1s", "retryOn": "5xx"},
		"rewrite":    object{"uri": "/v2"},
		"headers":    object{"request": object{"set": object{"x-set": "1"}}, "response": object{"remove": []any{"server"}}},
		"corsPolicy": object{"allowOrigins": []any{object{"exact": "https://example.com"}}, "maxAge": "24h", "allowCredentials": true},
		"fault":      object{"delay": object{"percentage": object{"value": 0.5}, "fixedDelay": "1s"}},
	} {
		if g.chance(15) {
			route[field] = value
		}
	}
	if g.chance(8) {
		route["mirrors"] = []any{object{"destination": object{"host": "audit"}, "percentage": object{"value": 2.5}}}
	}
}

func (g *generator) matches() []any {
	all := []object{
		{"uri": object{"prefix": "/api"}},
		{"uri": object{"exact": "/"}, "headers": object{"x-user": object{"regex": "a.*"}}},
		{"headers": object{"x-tenant": object{"exact": "one"}}, "name": "tenant"},
		{"method": object{"exact": "GET"}, "queryParams": object{"v": object{"exact": "2"}}, "ignoreUriCase": true},
		{"port": int64(8080), "sourceLabels": object{"app": "web"}},
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return unlist(all[:1+g.IntN(2)])
}

func (g *generator) host(short string) string {
	return pick(g, short, short, short+".shop", short+".shop.svc.cluster.local")
}

// destinations are canary's and stable's, and now and then others, in any order.
func (g *generator) destinations(raw bool) []any {
	both := func(service, subset string) object {
		target := object{"host": g.host(service)}
		if g.subsets {
			target["subset"] = subset
			if !g.services || g.chance(60) {
				target["host"] = g.host(subsetHost)
			}
		}
		return object{"destination": target}
	}
	stable, canary := both(stableService, stableSubset), both(canaryService, canarySubset)
	if g.chance(85) {
		stable["weight"] = int64(g.maximum)
		canary["weight"] = int64(0)
		if g.chance(20) {
			stable["weight"], canary["weight"] = int64(g.maximum)-10, int64(10)
		}
	}
	all := []object{stable, canary}
	if g.chance(20) {
		other := object{"destination": object{"host": g.host("others")}}
		if g.chance(50) {
			other["weight"] = int64(g.IntN(30))
		}
		all = append(all, other)
	}
	if g.chance(50) {
		port := int64(8080 + g.IntN(2))
		for _, one := range all {
			inner(one, "destination")["port"] = object{"number": port}
		}
	}
	if !raw && g.chance(10) {
		canary["headers"] = object{"response": object{"add": object{"x-version": "canary"}}}
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return unlist(all)
}

func (g *generator) tls(reference *v1alpha1.IstioVirtualService) []any {
	count := 1 + g.IntN(3)
	var routes []object
	for i := range count {
		hosts := []any{fmt.Sprintf("a%d.example.com", i)}
		names := []string{fmt.Sprintf("a%d.example.com", i)}
		if g.chance(30) {
			hosts = append(hosts, "b.example.com")
			names = append(names, "b.example.com")
		}
		match := object{"sniHosts": hosts}
		wanted := v1alpha1.TLSRoute{SNIHosts: names}
		if g.chance(60) {
			wanted.Port = int64(8443 + i)
			match["port"] = wanted.Port
		}
		routes = append(routes, object{"match": []any{match}, "route": g.destinations(true)})
		if count > 1 && (i == 0 || g.chance(50)) || count == 1 && g.chance(40) {
			g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			reference.TLSRoutes = append(reference.TLSRoutes, wanted)
		}
	}
	return unlist(routes)
}

func (g *generator) tcp(reference *v1alpha1.IstioVirtualService) []any {
	count := 1 + g.IntN(3)
	var routes []object
	for i := range count {
		route := object{"route": g.destinations(true)}
		port := int64(9000 + i)
		if count > 1 || g.chance(50) {
			route["match"] = []any{object{"port": port}}
		} else {
			port = 0
		}
		routes = append(routes, route)
		if count > 1 && (i == 0 || g.chance(50)) || count == 1 && g.chance(40) {
			reference.TCPRoutes = append(reference.TCPRoutes, v1alpha1.TCPRoute{Port: port})
		}
	}
	return unlist(routes)
}

func (g *generator) destinationRule() {
	block := &v1alpha1.IstioDestinationRule{Name: "reviews", CanarySubsetName: canarySubset, StableSubsetName: stableSubset}
	policy := object{"connectionPool": object{"tcp": object{"maxConnections": int64(10)}}}
	subset := func(name string) object {
		one := object{"name": name, "labels": object{"app": "reviews"}}
		if g.chance(40) {
			inner(one, "labels")[v1alpha1.DefaultRolloutUniqueLabelKey] = pick(g, versionOne, versionTwo)
		}
		if g.chance(20) {
			delete(one, "labels")
		}
		if g.chance(30) {
			one["trafficPolicy"] = policy
		}
		return one
	}
	all := []object{subset(canarySubset), subset(stableSubset)}
	if g.chance(30) {
		all = append(all, subset("others"))
	}
	if g.chance(15) {
		all = append(all, object{"name": "kept", "labels": object{"version": "kept"}})
		block.AdditionalSubsetNames = []string{"kept"}
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	spec := object{"host": subsetHost, "subsets": unlist(all)}
	if g.chance(30) {
		spec["trafficPolicy"] = object{"tls": object{"mode": "ISTIO_MUTUAL"}}
	}
	if g.chance(20) {
		spec["exportTo"] = []any{"."}
	}
	g.s.DestinationRules["reviews"] = spec
	g.s.istio().DestinationRule = block
}

func (g *generator) steps(managed bool) {
	var steps []v1alpha1.CanaryStep
	weight := int32(0)
	for range 2 + g.IntN(4) {
		switch {
		case managed && g.chance(30):
			route := &v1alpha1.SetHeaderRoute{Name: "beta"}
			if !g.chance(25) {
				route.Match = []v1alpha1.HeaderRoutingMatch{{HeaderName: "x-beta", HeaderValue: pick(g,
					&v1alpha1.StringMatch{Exact: "1"}, &v1alpha1.StringMatch{Prefix: "a"}, &v1alpha1.StringMatch{Regex: "[a-z]+"})}}
			}
			steps = append(steps, v1alpha1.CanaryStep{SetHeaderRoute: route})
		case managed && g.chance(30):
			route := &v1alpha1.SetMirrorRoute{Name: "shadow"}
			if !g.chance(25) {
				route.Match = []v1alpha1.RouteMatch{{Path: &v1alpha1.StringMatch{Prefix: "/api"}, Method: &v1alpha1.StringMatch{Exact: "GET"}}}
			}
			if g.chance(50) {
				percent := int32(1 + g.IntN(100))
				route.Percentage = &percent
			}
			steps = append(steps, v1alpha1.CanaryStep{SetMirrorRoute: route})
		case g.chance(20):
			steps = append(steps, v1alpha1.CanaryStep{Pause: &v1alpha1.RolloutPause{}})
		default:
			weight = g.Int32N(g.maximum + 1)
			set := weight
			steps = append(steps, v1alpha1.CanaryStep{SetWeight: &set})
		}
	}
	g.s.Canary.Steps = steps
}

// life walks the Rollout as the controller does, with calls in its order.
func (g *generator) life() {
	g.at.Current, g.at.Stable = versionTwo, versionOne
	g.at.Pods = map[string]int32{versionOne: wantedPods, versionTwo: g.Int32N(wantedPods + 1)}
	if g.experiments {
		g.at.Pods["exp444"], g.at.Pods["exp555"] = g.Int32N(wantedPods+1), wantedPods
	}
	reconciles := 3 + g.IntN(3)
	step := int32(0)
	for turn := range reconciles {
		g.at.Step = &step
		switch {
		case turn > 0 && g.chance(8):
			g.at.Abort = true
		case turn > 0 && g.chance(8):
			g.at.Stable = g.at.Current
		case turn > 0 && g.chance(6) && g.at.Current == versionTwo:
			g.at.Current = versionThree
			g.pods(versionThree, g.Int32N(wantedPods+1))
		case g.chance(15):
			g.pods(g.at.Current, g.Int32N(wantedPods+1))
		case turn > 0:
			g.pods(g.at.Current, wantedPods)
			if int(step)+1 < len(g.s.Canary.Steps) {
				step++
			}
		}
		at := step
		g.at.Step = &at
		g.reconcile()
	}
	g.emit(call{Method: removeManagedRoutes})
}

func (g *generator) pods(hash string, count int32) {
	next := map[string]int32{}
	for key, value := range g.at.Pods {
		next[key] = value
	}
	next[hash] = count
	g.at.Pods = next
}

func (g *generator) emit(c call) {
	c.State = g.at
	g.calls = append(g.calls, c)
}

// reconcile makes the calls of one reconcileTrafficRouting.
func (g *generator) reconcile() {
	weight := int32(0)
	var additional []v1alpha1.WeightDestination
	switch {
	case g.at.Stable == g.at.Current, g.at.Abort:
		g.emit(call{Method: removeManagedRoutes})
	case !g.at.hasPods(g.at.Current):
		g.emit(call{Method: removeManagedRoutes})
		additional = g.additional(0)
	default:
		for _, step := range g.s.Canary.Steps[:*g.at.Step+1] {
			if step.SetWeight != nil {
				weight = *step.SetWeight
			}
		}
		current := g.s.Canary.Steps[*g.at.Step]
		if current.SetHeaderRoute != nil {
			g.emit(call{Method: setHeaderRoute, Header: current.SetHeaderRoute})
		}
		if current.SetMirrorRoute != nil {
			g.emit(call{Method: setMirrorRoute, Mirror: current.SetMirrorRoute})
		}
		additional = g.additional(weight)
	}
	g.emit(call{Method: updateHash, Canary: g.at.Current, Stable: g.at.Stable, Additional: additional})
	g.emit(call{Method: setWeight, Weight: weight, Additional: additional})
	if g.chance(40) {
		g.emit(call{Method: verifyWeight, Weight: weight, Additional: additional})
	}
}

// additional are experiments that take weight from stable.
func (g *generator) additional(weight int32) []v1alpha1.WeightDestination {
	if !g.experiments || g.chance(40) {
		return nil
	}
	left := g.maximum - weight
	all := []v1alpha1.WeightDestination{}
	for i := range 1 + g.IntN(2) {
		share := int32(1 + g.IntN(20))
		if share > left {
			break
		}
		left -= share
		all = append(all, v1alpha1.WeightDestination{
			ServiceName: fmt.Sprintf("%s-%s-2-0-exp%d", g.rollout, g.at.Current, i), PodTemplateHash: allHashes[3+i], Weight: share,
		})
	}
	if g.chance(50) {
		slices.Reverse(all)
	}
	return all
}
