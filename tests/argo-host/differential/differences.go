package main

// difference is one thing that Serin does otherwise than the built-in, on purpose.
//
// None of them skips the comparison. A difference with `mend` changes what the built-in is given, so that what it does is
// what was meant, and the built-in stays the judge of all the rest; one with `judge` says what has to come out instead.
type difference struct {
	id string
	// what Serin does and the built-in doesn't, and why, for users.
	title, reason string
	// mend changes the attempt before the call, if the difference applies, and returns what undoes the change in the
	// outcome; nil if it doesn't apply.
	mend func(a *attempt) (undo func(a *attempt))
	// judge changes the outcome to the expected one and says if that was needed.
	judge func(a *attempt) bool
}

// hostsElsewhere is the difference that has neither: hideForeign changes what the built-in is given, and what is judged.
const hostsElsewhere = "hosts-elsewhere"

// allDifferences is the only list of them. `docs/differences.md` is written from it.
var allDifferences = []difference{
	{
		id:    "max-traffic-weight",
		title: "`maxTrafficWeight` is what the weights of a route add up to",
		reason: "The built-in gives stable `100 - weight` whatever the maximum is: at `maxTrafficWeight: 1000` and weight 500 " +
			"stable gets 0.",
		mend: mendMaximum,
	},
	{
		id:    hostsElsewhere,
		title: "A destination is the Service's that Istio takes its host for",
		reason: "The built-in looks at the first label alone: `web.legacy.svc.cluster.local` and `web.example.com` get the weight of the " +
			"Service `web`, as does the short name `web` in another namespace's VirtualService, where Istio looks for another " +
			"Service. Serin takes `web` (in a VirtualService of the Rollout's namespace `shop`), `web.shop`, `web.shop.svc` and " +
			"`web.shop.svc.cluster.local` for the Rollout's Service; any other host is a foreign destination's.",
	},
	{
		id:     "side-of-several-destinations",
		title:  "Several destinations of one side share its weight",
		reason: "The built-in gives each of them all of it, and the other side less than it was meant to have.",
		judge:  judgeSeveral,
	},
	{
		id:    "weights-within-maximum",
		title: "The weights of a route never add up to more than the maximum",
		reason: "Where canary, experiments and `additionalSubsetNames` together ask for more, the built-in sets it so, and all get less " +
			"than they were meant to. Serin gives out in this order what there is: additional subsets, canary, experiments, stable.",
		judge: judgeMaximum,
	},
	{
		id:    "additional-subset-of-a-side",
		title: "A subset of `additionalSubsetNames` keeps its weight whatever its host",
		reason: "Where the host is the canary's or stable's Service, the built-in gives it that side's weight a second time, and takes " +
			"it from stable as well.",
		mend: mendAdditional,
	},
	{
		id:     "experiment-without-service",
		title:  "An experiment whose Service isn't there yet has no weight",
		reason: "The built-in adds a destination, and a subset, without a name.",
		mend:   mendNoService,
	},
	{
		id:     "experiments-of-one-service",
		title:  "Experiments that share a Service have the sum of their weights",
		reason: "The built-in gives it the last one's weight, and takes all of them from stable.",
		mend:   mendOneService,
	},
	{
		id:     "negative-weight",
		title:  "A negative weight is an error",
		reason: "The built-in writes it, and Istio refuses it at best.",
		judge:  judgeNegative,
	},
	{
		id:    "removed-destination",
		title: "Removing a destination leaves the others' weights right",
		reason: "A destination of neither side that carries weight is removed from a managed route, as the built-in does. The " +
			"built-in then writes the weights behind it to the wrong destinations: `[other, stable, canary]` at 10 becomes " +
			"stable 80, canary 90 and one more. Of two experiments that end at once, it keeps one.",
		mend: mendRemoval,
	},
	{
		id:    "unnamed-routes",
		title: "Routes without a name stay as many as they are",
		reason: "With `managedRoutes`, every write of the built-in makes n routes out of each of n unnamed ones. " +
			"Routes that share a name multiply too.",
		mend: mendUnnamed,
	},
	{
		id:    "unlisted-route",
		title: "The only route is moved also while header and mirror routes stand",
		reason: "Where `routes` is left out, a header or mirror route of the built-in takes the only route's place: weights move in " +
			"the mirror route alone, or nowhere, and a second mirror step ends in a panic.",
		mend: mendUnlisted,
	},
	{
		id:    "users-managed-name",
		title: "A route that the Rollout names stays the user's, also under a name of `managedRoutes`",
		reason: "A route that is listed in `routes`, or the only one. The built-in takes it for its own, moves it to the top, and " +
			"deletes it with the header and mirror routes.",
		mend: mendOwned,
	},
	{
		id:     "empty-lists",
		title:  "An empty list of routes is as none",
		reason: "The built-in panics on an empty `tls` or `tcp`, and looks for the Rollout's `routes` in an empty `http`.",
		mend:   mendEmptyLists,
	},
	{
		id:    "experiment-without-hash",
		title: "An experiment without a pod hash changes no subset",
		reason: "The built-in takes the label off the experiment's subset and adds a second one of the same name, or one whose " +
			"label is empty.",
		mend: mendNoHash,
	},
	{
		id:    "subset-waits-for-pods",
		title: "A subset moves to a pod hash when that version has its pods",
		reason: "The built-in moves at once where there are Services, and traffic meets an empty subset; without Services it " +
			"answers with an error until every pod of both versions is available. Serin leaves that one subset where it is and " +
			"goes on ([guards](guards.md)); where the old version has no pods either, there is nothing to leave it for.",
		mend: mendHold,
	},
	{
		id:     "subset-without-labels",
		title:  "An experiment's subset may lack labels",
		reason: "The built-in panics on it.",
		mend:   mendLabels,
	},
	{
		id:    "other-subsets",
		title: "Other subsets of a DestinationRule stay",
		reason: "The built-in's UpdateHash drops every subset that is neither stable's, canary's nor a running experiment's, " +
			"also those of `additionalSubsetNames`. Serin takes away only what an experiment of the Rollout has left behind, " +
			"known by its name and by selecting nothing but a pod hash, and does so after the routes, in SetWeight.",
		judge: judgeSubsets,
	},
	{
		id:     "missing-subset",
		title:  "A DestinationRule without the canary's or stable's subset is an error",
		reason: "The built-in's UpdateHash says nothing, and the hash goes nowhere.",
		judge:  judgeMissingSubset,
	},
	{
		id:    "checked-routes",
		title: "A header or mirror step checks the managed routes as SetWeight does",
		reason: "The built-in writes its route on top of a VirtualService in which weights can't be set, and fails at the next " +
			"SetWeight.",
		judge: judgeChecked,
	},
	{
		id:     "step-on-the-way-back",
		title:  "A header or mirror step is no error on the way back",
		reason: "The controller makes this call between RemoveManagedRoutes and SetWeight also where the Rollout is aborted, and an error of it keeps the weight at the canary. Serin sets no route there and succeeds.",
		judge:  judgeStepBack,
	},
	{
		id:     "no-routes",
		title:  "A VirtualService without any route is an error",
		reason: "The built-in sets weights in nothing, and succeeds.",
		judge:  judgeNoRoutes,
	},
	{
		id:     "answering-route",
		title:  "A managed route that redirects, answers itself or delegates is an error",
		reason: "The built-in moves weights that no request ever meets.",
		judge:  judgeAnswers,
	},
	{
		id:    "stable-subset-of-canary",
		title: "The stable subset at the canary's Service is an error",
		reason: "The built-in takes both destinations for the canary's, since it looks at the Service first, and gives stable's weight " +
			"to nobody.",
		judge: judgeSides,
	},
	{
		id:     "declared-lanes",
		title:  "With `lanes: declared` the lane routes have to stand",
		reason: "A field of Serin's own: the user writes the lane routes, Serin writes none, and an error shows those that are missing.",
		judge:  judgeUndeclared,
	},
	{
		id:     "ended-experiment",
		title:  "The destination of an experiment that has ended goes also at weight 0",
		reason: "The built-in keeps it as it keeps every destination without weight.",
		judge:  judgeEnded,
	},
	{
		id:     "experiment-elsewhere",
		title:  "An experiment's destination in another namespace's VirtualService has the Service's full name",
		reason: "The built-in writes the short name, which there means a Service of that VirtualService's namespace, and traffic is lost.",
		judge:  judgeExperimentHost,
	},
	{
		id:     "experiment-subset-with-weight",
		title:  "SetWeight brings an experiment's subset along",
		reason: "The built-in does it in UpdateHash alone.",
		judge:  judgeExperimentSubsets,
	},
	{
		id:    "canary-subset-first",
		title: "Weight goes to a canary subset only when that selects the canary's pods",
		reason: "SetWeight and the header and mirror steps first move the canary's subset to the current pod hash, and " +
			"answer with an error where that lacks pods. The built-in raises the weight of whatever is there.",
		judge: judgeCanarySubset,
	},
	{
		id:    "weight-waits-for-pods",
		title: "SetWeight adds no traffic to a version that lacks pods",
		reason: "The built-in answers UpdateHash with an error while one lacks pods, which also stops what takes traffic off a " +
			"version. Serin answers SetWeight with one, and only where it would raise the canary's weight, or send to the stable " +
			"subset what a promotion has given to another version. Nothing waits on the way back ([guards](guards.md)).",
		judge: judgeWaits,
	},
	{
		id:     "all-or-nothing",
		title:  "A call that ends in an error over the objects has changed none of them; on the way back to one version it has changed all that could be",
		reason: "The built-in writes VirtualService by VirtualService, and stops at the first one that doesn't suit. So one VirtualService that is gone keeps another at its canary weight through an abort. Serin takes the weight off all that can be written, and the error of SetWeight names the rest.",
		judge:  judgeAllOrNothing,
	},
	{
		id:    "lane-routes",
		title: "Header and mirror routes are lanes",
		reason: "The built-in writes a route of its own at the top of the VirtualService, without the user's timeouts, retries and " +
			"rewrites. Serin writes a clone of each managed route above it, which requests reach by a header that the filter " +
			"sets; the rules are in the filter object.",
		judge: judgeLanes,
	},
	{
		id:    "routes-follow-steps",
		title: "Which header and mirror routes exist follows from the steps that have run",
		reason: "The built-in has what was set last, and loses it when canary pods restart. Serin sets nothing while the canary " +
			"has no available pods or its subset waits for them, and the next SetWeight after they are up brings it back. " +
			"Behind the last step Serin mirrors nothing, since every request reaches the canary.",
		judge: judgeRules,
	},
	{
		id:     "verified-weight",
		title:  "VerifyWeight verifies",
		reason: "The built-in's is not implemented. Serin answers true when SetWeight would find nothing to change, and \"not verified\" where that can't be read, with the reason in the log and, once, in an event.",
		judge:  judgeVerified,
	},
}
