package main

import (
	"fmt"
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

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

// host is a name of the Service in the Rollout's namespace; seldom that of another one.
func (g *generator) host(short string) string {
	switch {
	case g.chance(1):
		g.foreign = true
		return pick(g, short+".legacy", short+".legacy.svc.cluster.local", short+".example.com")
	case !g.elsewhere:
		return pick(g, short, short, short+"."+home, fullName(short))
	case g.chance(3):
		g.foreign = true
		return short
	}
	return pick(g, short+"."+home, fullName(short), fullName(short))
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
	all = g.oddDestinations(all)
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
		if g.chance(25) {
			// Hosts in common with another route's.
			hosts[0], names[0] = "a0.example.com", "a0.example.com"
			if i > 0 && len(hosts) == 1 {
				hosts, names = append(hosts, "c.example.com"), append(names, "c.example.com")
			}
		}
		match := object{"sniHosts": hosts}
		wanted := v1alpha1.TLSRoute{SNIHosts: names}
		if g.chance(60) {
			wanted.Port = int64(8443 + i%2)
			match["port"] = wanted.Port
		}
		routes = append(routes, object{"match": g.another(match), "route": g.destinations(true)})
		if count > 1 && (i == 0 || g.chance(50)) || count == 1 && g.chance(40) {
			g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			if g.chance(3) {
				wanted.SNIHosts = append(slices.Clone(names), "nobody.example.com")
			}
			reference.TLSRoutes = append(reference.TLSRoutes, wanted)
		}
	}
	return unlist(routes)
}

// another puts a second match beside a TLS or TCP route's, seldom: of the same port, or of another, which no list of the
// Rollout's can name.
func (g *generator) another(match object) []any {
	all := []any{match}
	if g.chance(8) {
		second := deepCopy(match)
		second["sourceLabels"] = object{"app": "web"}
		if g.chance(60) {
			second["port"] = number(match["port"]) + 10
		}
		all = append(all, second)
		g.Shuffle(2, func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

func (g *generator) tcp(reference *v1alpha1.IstioVirtualService) []any {
	count := 1 + g.IntN(3)
	var routes []object
	for i := range count {
		route := object{"route": g.destinations(true)}
		port := int64(9000 + i)
		if count > 1 || g.chance(50) {
			route["match"] = g.another(object{"port": port})
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
