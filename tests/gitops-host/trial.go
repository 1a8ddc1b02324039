package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tool applies what is in Git, in its own way.
type tool interface {
	// status says what the tool says of Git and the cluster, before it writes anything.
	status(ctx context.Context, to *canary) (string, error)
	// apply writes what is in Git as far as the tool does so, and says how that ended where it is no plain success.
	apply(ctx context.Context, to *canary) (string, error)
}

// outcome is a row of a table: what a tool does with one setting, to a canary that is at 50 % with a lane route.
type outcome struct {
	// status is what it says while Git is unchanged, and again what it does then.
	status, again string
	// timeout is what becomes of a timeout that the user changes in Git, label of a subset's label.
	timeout, label string
}

// try finds out all that a row says. Git is at the end what it was before.
func try(ctx context.Context, on *cluster, with tool, to *canary) (outcome, error) {
	var found outcome
	var err error
	if found.status, err = with.status(ctx, to); err != nil {
		return found, err
	}
	if found.again, err = applied(ctx, on, with, to); err != nil {
		return found, err
	}
	found.timeout, err = changed(ctx, on, with, to, change{
		make: func() error { return to.setTimeout("7s") },
		undo: func() error { return to.setTimeout("5s") },
		is: func(now live) bool {
			return route(now.virtualService, to.changedRoute())["timeout"] == "7s"
		},
	})
	if err != nil || !to.hasSubsets() {
		found.label = "none there"
		return found, err
	}
	found.label, err = changed(ctx, on, with, to, change{
		make: to.setLabel,
		undo: to.dropLabel,
		is: func(now live) bool {
			subset := list(spec(now.destinationRule), "subsets")[0].(map[string]any)
			return subset["labels"].(map[string]any)["tier"] == "front"
		},
	})
	return found, err
}

// change is one of the user's in Git.
type change struct {
	make, undo func() error
	// is tells whether the cluster has it.
	is func(live) bool
}

// changed makes a change in Git, applies it, and says what came of it.
func changed(ctx context.Context, on *cluster, with tool, to *canary, one change) (string, error) {
	if err := one.make(); err != nil {
		return "", err
	}
	status, err := with.status(ctx, to)
	if err != nil {
		return "", err
	}
	wrote, err := applied(ctx, on, with, to)
	if err != nil {
		return "", err
	}
	now, err := to.live(ctx, on)
	if err != nil {
		return "", err
	}
	did := "applied"
	if !one.is(now) {
		did = "**lost**"
		if strings.HasPrefix(status, "Synced") {
			did = "**not seen**"
		}
	}
	// What hides a change must not hide that it is undone.
	if err := one.undo(); err != nil {
		return "", err
	}
	if _, err := with.apply(ctx, to); err != nil {
		return "", err
	}
	if _, err := to.restored(ctx, on); err != nil {
		return "", err
	}
	if strings.HasPrefix(wrote, refused) {
		return wrote, nil
	}
	if wrote == nothing {
		return did, nil
	}
	return did + "; " + wrote, nil
}

// refused is how a tool ends that writes nothing because of Serin.
const refused = "**refused**"

// nothing is said where a tool has changed no object of the canary.
const nothing = "writes nothing"

// applied lets the tool apply once and says which of the rollout's fields it has set back before Serin put them right.
func applied(ctx context.Context, on *cluster, with tool, to *canary) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	routes, err := record(ctx, on, virtualServices, to.namespace, "web")
	if err != nil {
		return "", err
	}
	var subsets *recorder
	if to.hasSubsets() {
		if subsets, err = record(ctx, on, destinationRules, to.namespace, "web"); err != nil {
			return "", err
		}
	}
	ended, err := with.apply(ctx, to)
	if err != nil {
		return "", err
	}
	if ended != "" {
		return ended, nil
	}
	// What it has written is known to the watch by then, and put right.
	time.Sleep(300 * time.Millisecond)
	isRestored, err := to.restored(ctx, on)
	if err != nil {
		return "", err
	}
	var off []string
	wrote := false
	first, err := routes.firstChange()
	if err != nil {
		return "", err
	}
	if first != nil {
		wrote = true
		off = to.off(first)
	}
	if subsets != nil {
		if first, err = subsets.firstChange(); err != nil {
			return "", err
		}
		if first != nil {
			wrote = true
			off = append(off, to.offSubsets(first)...)
		}
	}
	said := nothing
	switch {
	case len(off) > 0:
		said = "sets back " + strings.Join(off, ", ")
	case wrote:
		said = "keeps the rollout's fields"
	}
	if !isRestored {
		said += " **for good**"
	}
	return said, nil
}

// synced is a status in words.
func synced(kinds []string) string {
	if len(kinds) == 0 {
		return "Synced"
	}
	slices.Sort(kinds)
	return "OutOfSync: " + strings.Join(slices.Compact(kinds), ", ")
}

// row is one line of a table.
func (o outcome) row(setting string) string {
	unchanged := o.again
	if o.status != "" {
		unchanged = o.status + "; " + o.again
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", setting, unchanged, o.timeout, o.label)
}
