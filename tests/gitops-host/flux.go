package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// flux applies as a Kustomization does at each interval.
type flux struct {
	program string
	// ignore is spec.ignore.
	ignore []any
	// policy is the value of the annotation kustomize.toolkit.fluxcd.io/ssa on each object; empty without one.
	policy string
}

// paths is a rule of spec.ignore for a kind.
func paths(kind string, pointers ...string) any {
	return map[string]any{"paths": pointers, "selector": map[string]any{"kind": kind}}
}

var (
	// Where the managed route is the first in Git, with its place on the cluster while no lane route is above it.
	byPlace = []any{
		paths("VirtualService", "/spec/http/1/route/0/weight", "/spec/http/1/route/1/weight"),
		paths("DestinationRule", "/spec/subsets/0/labels/rollouts-pod-template-hash", "/spec/subsets/1/labels/rollouts-pod-template-hash"),
	}
	whole = []any{paths("VirtualService", "/spec/http"), paths("DestinationRule", "/spec/subsets")}
)

// kustomizations are the lines of Flux's table.
func kustomizations(program string) []trial {
	return []trial{
		{"**Recommended**: nothing, lanes managed", "subsets", flux{program: program}},
		{"**Recommended**: nothing, with TLS and TCP routes", "hosts", flux{program: program}},
		{"**Recommended**, `lanes: declared`: `spec.ignore` with each weight and pod hash by its place", "declared", flux{program: program, ignore: byPlace}},
		{"The same `spec.ignore`, lanes managed", "subsets", flux{program: program, ignore: byPlace}},
		{"`spec.ignore` with `/spec/http` and `/spec/subsets`", "subsets", flux{program: program, ignore: whole}},
		{"Annotation `kustomize.toolkit.fluxcd.io/ssa: IfNotPresent`", "subsets", flux{program: program, policy: "IfNotPresent"}},
		{"Annotation `kustomize.toolkit.fluxcd.io/ssa: Merge`", "subsets", flux{program: program, policy: "Merge"}},
	}
}

// trial is a line of a table: a tool with its setting, and the canary that shows what it does.
type trial struct {
	title  string
	canary string
	with   tool
}

// tryAll tries every line.
func tryAll(ctx context.Context, on *cluster, canaries map[string]*canary, all []trial) (string, error) {
	rows := heading
	for _, one := range all {
		to := canaries[one.canary]
		// The first time a tool makes an object its own, which later times don't do.
		_, err := one.with.apply(ctx, to)
		if err == nil {
			err = to.atHalf(ctx, on)
		}
		var found outcome
		if err == nil {
			found, err = try(ctx, on, one.with, to)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", one.title, err)
		}
		row := found.row(one.title)
		say("%s", strings.TrimSpace(row))
		rows += row
	}
	return rows, nil
}

// status: Flux has none before it applies.
func (f flux) status(context.Context, *canary) (string, error) { return "", nil }

func (f flux) apply(ctx context.Context, to *canary) (string, error) {
	annotated := *to
	annotated.objects = nil
	for _, one := range to.objects {
		copied := one.DeepCopy()
		if f.policy != "" {
			copied.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/ssa": f.policy})
		}
		annotated.objects = append(annotated.objects, copied)
	}
	annotated.git = to.git + "-flux"
	if err := annotated.commit(); err != nil {
		return "", err
	}
	ignore, err := json.Marshal(append([]any{}, f.ignore...))
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, f.program, "-file", filepath.Join(annotated.git, "all.yaml"), "-name", to.name, "-ignore", string(ignore))
	if found, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("flux: %w: %s", err, found)
	}
	return "", nil
}

// kubectl applies in a pipeline.
type kubectl struct{ flags []string }

func pipelines() []trial {
	return []trial{
		{"**Recommended**: `kubectl apply`", "subsets", kubectl{}},
		{"`kubectl apply`, with TLS and TCP routes", "hosts", kubectl{}},
		{"`kubectl apply`, `lanes: declared`", "declared", kubectl{}},
		{"`kubectl apply --server-side`", "subsets", kubectl{[]string{"--server-side"}}},
		{"`kubectl apply --server-side --force-conflicts`", "subsets", kubectl{[]string{"--server-side", "--force-conflicts"}}},
	}
}

func (k kubectl) status(context.Context, *canary) (string, error) { return "", nil }

func (k kubectl) apply(ctx context.Context, to *canary) (string, error) {
	words := append([]string{"apply", "-f", filepath.Join(to.git, "all.yaml")}, k.flags...)
	found, err := exec.CommandContext(ctx, "kubectl", words...).CombinedOutput()
	if err == nil {
		return "", nil
	}
	if strings.Contains(string(found), `with "serin"`) {
		return refused + ": conflict with field manager `serin`", nil
	}
	return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(words, " "), err, found)
}
