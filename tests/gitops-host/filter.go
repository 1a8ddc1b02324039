package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	meshNamespace = "istio-system"
	filterHeading = "| setting | WasmPlugin, with Git unchanged | policies after a sync |\n|---|---|---|\n"
	filterPath    = `.spec.pluginConfig.rollouts`
)

// filters are the settings of an Application that holds the WasmPlugin.
var filters = []line{
	{"None", "filter", setting{}},
	{"`ignoreDifferences` with `.spec.pluginConfig.rollouts`", "filter", setting{ignore: []any{ignored("extensions.istio.io", "WasmPlugin", filterPath)}}},
	{"`ServerSideApply=true`", "filter", setting{options: []string{serverSide}}},
	{"`ServerSideDiff=true`", "filter", setting{annotations: map[string]string{"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}},
	{"`Replace=true`", "filter", setting{options: []string{"Replace=true"}}},
}

// filters tries the settings on the WasmPlugin that holds the canaries' policies.
func (a *argocd) filters(ctx context.Context, git string) (string, error) {
	found, err := a.on.get(ctx, wasmPlugins, meshNamespace, "serin")
	if err != nil {
		return "", err
	}
	inGit := made(found.GetAPIVersion(), found.GetKind(), meshNamespace, "serin", map[string]any{"spec": spec(found.DeepCopy())})
	unstructured.RemoveNestedField(inGit.Object, "spec", "pluginConfig")
	to := &canary{name: "filter", namespace: meshNamespace, git: git + "/filter", objects: []*object{inGit}}
	if err := to.commit(); err != nil {
		return "", err
	}
	// From then on it is Argo CD's.
	if err := a.configure(ctx, to, setting{}); err != nil {
		return "", err
	}
	if _, err := a.status(ctx, to); err != nil {
		return "", err
	}
	if ended, err := a.apply(ctx, to); err != nil || ended != "" {
		return "", fmt.Errorf("the first sync of the filter: %s%w", ended, err)
	}
	rows := filterHeading
	for _, one := range filters {
		row, err := a.filter(ctx, one, to)
		if err != nil {
			return "", fmt.Errorf("filter, %s: %w", one.title, err)
		}
		say("%s", strings.TrimSpace(row))
		rows += row
	}
	return rows, nil
}

func (a *argocd) filter(ctx context.Context, one line, to *canary) (string, error) {
	if err := a.configure(ctx, to, one.with); err != nil {
		return "", err
	}
	status, err := a.status(ctx, to)
	if err != nil {
		return "", err
	}
	observed, cancel := context.WithCancel(ctx)
	defer cancel()
	plugin, err := record(observed, a.on, wasmPlugins, meshNamespace, "serin")
	if err != nil {
		return "", err
	}
	before, err := plugin.all()
	if err != nil {
		return "", err
	}
	ended, err := a.apply(ctx, to)
	if err != nil || ended != "" {
		return fmt.Sprintf("| %s | %s | %s |\n", one.title, status, ended), err
	}
	kept := "stay"
	err = until(ctx, "the policies", patience, func() (string, error) {
		versions, err := plugin.all()
		if err != nil {
			return "", err
		}
		for _, version := range versions {
			if policies(version.object) < policies(before[0].object) {
				kept = "**are removed**, and Serin puts them back"
			}
		}
		if policies(versions[len(versions)-1].object) < policies(before[0].object) {
			return "not put back", nil
		}
		return "", nil
	})
	return fmt.Sprintf("| %s | %s | %s |\n", one.title, status, kept), err
}

// policies are how many Rollouts have one in the object.
func policies(one *object) int {
	found, _, _ := unstructured.NestedMap(one.Object, "spec", "pluginConfig", "rollouts")
	return len(found)
}
