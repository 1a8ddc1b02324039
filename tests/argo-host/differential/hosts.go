package main

import "strings"

// Which destinations are the Rollout's. The built-in looks at a host's first label alone, Serin as Istio does
// (istio 1.29.1 pilot/pkg/model ResolveShortnameToFQDN): a host without a dot is of the VirtualService's namespace.

// foreignPrefix begins the hosts of destinations elsewhere while the built-in is asked and judged, so that they are nobody's
// for it too.
const foreignPrefix = "serin-foreign-"

// hideForeign is a copy of the objects in which hosts of other namespaces have that prefix.
func (a *attempt) hideForeign(all snapshot) snapshot {
	all = all.copy()
	for key, spec := range all {
		if !strings.HasPrefix(key, "VirtualService/") {
			continue
		}
		isElsewhere := strings.HasSuffix(key, "."+elsewhere)
		eachHost(spec, func(host string) string {
			if host == "" {
				return host
			}
			if _, rest, found := strings.Cut(host, "."); a.isHome(rest) || !found && !isElsewhere {
				return host
			}
			return foreignPrefix + host
		})
	}
	return all
}

// isHome says if a host with that behind its first label is a Service's in the Rollout's namespace.
func (a *attempt) isHome(rest string) bool {
	domain, found := strings.CutPrefix(rest, a.home)
	return found && (domain == "" || domain == ".svc" || domain == ".svc.cluster.local")
}

// showForeign undoes hideForeign.
func showForeign(all snapshot) snapshot {
	all = all.copy()
	for _, spec := range all {
		eachHost(spec, func(host string) string { return strings.TrimPrefix(host, foreignPrefix) })
	}
	return all
}

// eachHost changes the hosts of all destinations and mirrors.
func eachHost(spec object, change func(string) string) {
	changeHost := func(target object) {
		if host, is := target["host"].(string); is {
			target["host"] = change(host)
		}
	}
	for _, protocol := range protocols {
		for _, route := range list(spec[protocol]) {
			for _, one := range list(route["route"]) {
				changeHost(inner(one, "destination"))
			}
			changeHost(inner(route, "mirror"))
			for _, one := range list(route["mirrors"]) {
				changeHost(inner(one, "destination"))
			}
		}
	}
}
