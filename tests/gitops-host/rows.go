package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// ignored is an entry of ignoreDifferences with these jq expressions.
func ignored(group, kind string, expressions ...string) any {
	paths := []any{}
	for _, one := range expressions {
		paths = append(paths, one)
	}
	return map[string]any{"group": group, "kind": kind, "jqPathExpressions": paths}
}

const (
	istio = "networking.istio.io"
	// What docs/gitops.md recommends.
	lanesPath   = `.spec.http[]? | select((.name // "") | startswith("serin-"))`
	weightsPath = `(.spec.http[]?, .spec.tls[]?, .spec.tcp[]?).route[]?.weight`
	hashesPath  = `.spec.subsets[]?.labels["rollouts-pod-template-hash"]`
)

var (
	managed    = []any{ignored(istio, "VirtualService", lanesPath, weightsPath), ignored(istio, "DestinationRule", hashesPath)}
	declared   = []any{ignored(istio, "VirtualService", weightsPath), ignored(istio, "DestinationRule", hashesPath)}
	outOnly    = "ApplyOutOfSyncOnly=true"
	respect    = "RespectIgnoreDifferences=true"
	serverSide = "ServerSideApply=true"
)

// line is a setting of Argo CD's, and the canary that shows what it does.
type line struct {
	title  string
	canary string
	with   setting
}

var lines = []line{
	{"**Recommended**, lanes managed", "subsets", setting{options: []string{outOnly}, ignore: managed}},
	{"**Recommended**, lanes managed, with TLS and TCP routes", "hosts", setting{options: []string{outOnly}, ignore: managed}},
	{"**Recommended**, `lanes: declared`", "declared", setting{options: []string{outOnly}, ignore: declared}},
	{"Recommended, and `ServerSideApply=true`", "subsets", setting{options: []string{outOnly, serverSide}, ignore: managed}},
	{"Recommended, and `ServerSideDiff=true`", "subsets", setting{options: []string{outOnly}, ignore: managed,
		annotations: map[string]string{"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}},
	{"Recommended, and subsets without a label in Git", "subsets", setting{options: []string{outOnly}, ignore: managed, noLabels: true}},
	{"Recommended, and `ServerSideDiff=true`, and subsets without a label in Git", "subsets", setting{options: []string{outOnly}, ignore: managed, noLabels: true,
		annotations: map[string]string{"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}},
	{"No path for the DestinationRule", "subsets", setting{options: []string{outOnly}, ignore: managed[:1]}},
	{"No path for the DestinationRule, and `ServerSideDiff=true`", "subsets", setting{options: []string{outOnly}, ignore: managed[:1],
		annotations: map[string]string{"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}},
	{"Recommended, without `ApplyOutOfSyncOnly=true`", "subsets", setting{ignore: managed}},
	{"Recommended, and `RespectIgnoreDifferences=true`", "subsets", setting{options: []string{outOnly, respect}, ignore: managed}},
	{"Recommended, and `RespectIgnoreDifferences=true`, `ServerSideApply=true`", "subsets", setting{options: []string{outOnly, respect, serverSide}, ignore: managed}},
	{"No `ignoreDifferences`", "subsets", setting{}},
	{"No `ignoreDifferences`, `ServerSideApply=true`", "subsets", setting{options: []string{serverSide}}},
	{"`managedFieldsManagers: [serin]`", "subsets", setting{options: []string{outOnly}, ignore: []any{
		map[string]any{"group": istio, "kind": "VirtualService", "managedFieldsManagers": []any{"serin"}},
		map[string]any{"group": istio, "kind": "DestinationRule", "managedFieldsManagers": []any{"serin"}},
	}}},
	{"`.spec.http[].route[].weight` (no `?`), and a route without `route`", "subsets", setting{options: []string{outOnly}, ignore: []any{
		ignored(istio, "VirtualService", lanesPath, `.spec.http[].route[].weight`), ignored(istio, "DestinationRule", hashesPath)}}},
	{"Weights of HTTP routes alone, with TLS and TCP routes", "hosts", setting{options: []string{outOnly}, ignore: []any{
		ignored(istio, "VirtualService", lanesPath, `.spec.http[]?.route[]?.weight`)}}},
	{"**Recommended**, `lanes: declared`; the timeout of the lane route alone", "declared", setting{options: []string{outOnly}, ignore: declared, laneAlone: true}},
	{"The path of `serin-` routes, with `lanes: declared`; the timeout of the lane route alone", "declared", setting{options: []string{outOnly}, ignore: managed, laneAlone: true}},
}

// row tries one line.
func (a *argocd) row(ctx context.Context, one line, to *canary) (outcome, error) {
	if err := a.configure(ctx, to, one.with); err != nil {
		return outcome{}, err
	}
	changed := *to
	changed.laneAlone = one.with.laneAlone
	if !one.with.noLabels {
		return try(ctx, a.on, a, &changed)
	}
	bare := to.withoutLabels()
	if err := a.deliver(ctx, bare); err != nil {
		return outcome{}, err
	}
	found, err := try(ctx, a.on, a, bare)
	if err != nil {
		return outcome{}, err
	}
	return found, a.deliver(ctx, to)
}

// deliver brings what Git has of a canary to the cluster.
func (a *argocd) deliver(ctx context.Context, to *canary) error {
	if err := to.commit(); err != nil {
		return err
	}
	if _, err := a.status(ctx, to); err != nil {
		return err
	}
	if ended, err := a.apply(ctx, to); err != nil || ended != "" {
		return fmt.Errorf("%s%w", ended, err)
	}
	return to.atHalf(ctx, a.on)
}

// status is Argo CD's, as its pages show it.
func (a *argocd) status(ctx context.Context, to *canary) (string, error) {
	// Argo CD takes in what it watches every 100 ms (ARGOCD_CLUSTER_CACHE_EVENTS_PROCESSING_INTERVAL).
	time.Sleep(400 * time.Millisecond)
	found, err := a.refresh(ctx, to)
	if err != nil {
		return "", err
	}
	return synced(outOfSync(found)), nil
}

// health is Argo CD's of the whole Application.
func (a *argocd) health(ctx context.Context, to *canary) (string, error) {
	found, err := a.refresh(ctx, to)
	if err != nil {
		return "", err
	}
	return text(found, "status", "health", "status"), nil
}

// rows tries every line, one after the other.
func (a *argocd) rows(ctx context.Context, canaries map[string]*canary) (string, error) {
	rows := heading
	for _, one := range lines {
		found, err := a.row(ctx, one, canaries[one.canary])
		if err != nil {
			return "", fmt.Errorf("%s: %w", one.title, err)
		}
		say("%s", strings.TrimSpace(found.row(one.title)))
		rows += found.row(one.title)
	}
	return rows, nil
}
