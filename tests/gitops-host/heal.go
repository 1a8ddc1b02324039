package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watched is how long a setting with selfHeal is looked at.
const watched = 31 * time.Second

// heals are the settings with selfHeal. Between two fights over one object is a time without, after which Serin warns anew.
var heals = []line{
	{"**Recommended**", "subsets", setting{options: []string{outOnly}, ignore: managed}},
	{"No `ignoreDifferences`", "subsets", setting{}},
	{"**Recommended**, `lanes: declared`", "declared", setting{options: []string{outOnly}, ignore: declared}},
	{"`.spec.http[].route[].weight` (no `?`), and a route without `route`", "subsets", setting{options: []string{outOnly}, ignore: []any{
		ignored(istio, "VirtualService", lanesPath, `.spec.http[].route[].weight`), ignored(istio, "DestinationRule", hashesPath)}}},
}

const healHeading = "| setting | the canary, with Git unchanged | event `DriftContested` |\n|---|---|---|\n"

// heal lets Argo CD sync by itself for a while, and says what the canary has of it.
func (a *argocd) heal(ctx context.Context, one line, to *canary) (string, error) {
	with := one.with
	// A sync by hand: Argo CD counts its own attempts from there, and waits longer with each.
	if err := a.configure(ctx, to, with); err != nil {
		return "", err
	}
	if ended, err := a.apply(ctx, to); err != nil || ended != "" {
		return "", fmt.Errorf("the sync by hand: %s%w", ended, err)
	}
	if err := to.atHalf(ctx, a.on); err != nil {
		return "", err
	}
	with.automated = map[string]any{"selfHeal": true}
	// Events of earlier lines are of no interest.
	if err := forget(ctx, a.on, to); err != nil {
		return "", err
	}
	observed, cancel := context.WithCancel(ctx)
	defer cancel()
	routes, err := record(observed, a.on, virtualServices, to.namespace, "web")
	if err != nil {
		return "", err
	}
	if err := a.configure(ctx, to, with); err != nil {
		return "", err
	}
	if _, err := a.refresh(ctx, to); err != nil {
		return "", err
	}
	time.Sleep(watched)
	share, err := routes.share(func(found *object) bool { return len(to.off(found)) > 0 })
	if err != nil {
		return "", err
	}
	versions, err := routes.all()
	if err != nil {
		return "", err
	}
	contested, err := contested(ctx, a.on, to)
	if err != nil {
		return "", err
	}
	say("%s: %d versions of the VirtualService in %s, off %.1f %% of the time, contested: %t", one.title, len(versions), watched, share*100, contested)
	did := "stays as it is"
	if len(versions) > 1 {
		did = "is set back again and again"
	}
	// A repair at once costs less than a hundredth, a fight more than half, or a little less where the machine is busy.
	if share > 0.1 {
		did += ", and is **without its traffic for a great part of the time**"
	}
	warned := "no"
	if contested {
		warned = "yes"
	}
	// The fight ends here, and the canary gets what it needs.
	if err := a.configure(ctx, to, setting{options: with.options, ignore: with.ignore}); err != nil {
		return "", err
	}
	return fmt.Sprintf("| %s | %s | %s |\n", one.title, did, warned), nil
}

func forget(ctx context.Context, on *cluster, to *canary) error {
	return on.of(events, to.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}

// contested is true if the Rollout has the event.
func contested(ctx context.Context, on *cluster, to *canary) (bool, error) {
	found, err := on.of(events, to.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, one := range found.Items {
		if text(&one, "reason") == "DriftContested" {
			say("%s", text(&one, "message"))
			return true, nil
		}
	}
	return false, nil
}

// noBackoff are the settings to try where Argo CD heals without its backoff.
var noBackoff = []line{
	{"**Recommended**, and no backoff of self-heal", "subsets", setting{options: []string{outOnly}, ignore: managed}},
	{"No `ignoreDifferences`, and no backoff of self-heal", "subsets", setting{}},
}

// heals tries settings with selfHeal.
func (a *argocd) heals(ctx context.Context, canaries map[string]*canary, all []line) (string, error) {
	rows := ""
	for _, one := range all {
		to := canaries[one.canary]
		row, err := a.heal(ctx, one, to)
		if err != nil {
			return "", fmt.Errorf("selfHeal, %s: %w", one.title, err)
		}
		say("%s", strings.TrimSpace(row))
		rows += row
		if err := to.atHalf(ctx, a.on); err != nil {
			return "", err
		}
	}
	return rows, nil
}

// unnoticed changes Git in mid-canary, under load and with the recommended settings, and is an error if a request notices.
func (a *argocd) unnoticed(ctx context.Context, sidecar string, canaries map[string]*canary) error {
	streams := map[string]*stream{}
	for name, one := range canaries {
		ignore := managed
		if name == "declared" {
			ignore = declared
		}
		with := setting{options: []string{outOnly}, ignore: ignore, automated: map[string]any{"selfHeal": true}}
		if err := a.configure(ctx, one, with); err != nil {
			return err
		}
		streams[name] = send(ctx, sidecar, one, "web:2")
	}
	for _, timeout := range []string{"6s", "5s", "7s", "5s"} {
		for _, one := range canaries {
			if err := a.delivers(ctx, one, timeout); err != nil {
				return err
			}
		}
	}
	// istiod pushes what was written last.
	time.Sleep(time.Second)
	var problems []string
	for name, one := range streams {
		if noticed := one.noticed(); noticed != "" {
			problems = append(problems, name+": "+noticed)
		}
		say("%s: %d requests of the header route during the syncs", name, one.sent)
	}
	if len(problems) > 0 {
		return fmt.Errorf("a user's changes in Git were noticed: %s", strings.Join(problems, "; "))
	}
	return nil
}

// delivers changes a timeout and a subset's label in Git, and waits until the cluster has both and the canary all it needs.
func (a *argocd) delivers(ctx context.Context, to *canary, timeout string) error {
	if err := to.setTimeout(timeout); err != nil {
		return err
	}
	label := any("front")
	if to.hasSubsets() {
		set := to.setLabel
		if timeout == "5s" {
			set, label = to.dropLabel, nil
		}
		if err := set(); err != nil {
			return err
		}
	}
	if _, err := a.refresh(ctx, to); err != nil {
		return err
	}
	err := until(ctx, to.name+": what Git says", patience, func() (string, error) {
		found, err := to.live(ctx, a.on)
		if err != nil {
			return "", err
		}
		if now := route(found.virtualService, "primary")["timeout"]; now != timeout {
			return fmt.Sprintf("timeout %v, expected %s", now, timeout), nil
		}
		if found.destinationRule != nil {
			subset := list(spec(found.destinationRule), "subsets")[0].(map[string]any)
			if now := subset["labels"].(map[string]any)["tier"]; now != label {
				return fmt.Sprintf("label %v", now), nil
			}
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	return to.atHalf(ctx, a.on)
}
