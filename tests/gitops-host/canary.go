package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"
)

//go:embed shop/*.yaml
var manifests embed.FS

// canary is one of the Rollouts: its manifests as they are in Git, and how to know it on the cluster.
type canary struct {
	name      string
	namespace string
	// git is the folder of its manifests.
	git     string
	objects []*object
	// laneAlone is true where the user changes the timeout of the lane route and of no other.
	laneAlone bool
}

// newCanary puts the manifests of that name into a folder of `git`.
func newCanary(git, name string) (*canary, error) {
	found, err := manifests.ReadFile("shop/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	one := &canary{name: name, namespace: "gitops-" + name, git: filepath.Join(git, name)}
	for _, document := range strings.Split(string(found), "\n---\n") {
		manifest := &object{}
		if err := yaml.Unmarshal([]byte(document), &manifest.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		one.objects = append(one.objects, manifest)
	}
	return one, one.commit()
}

// commit writes the manifests as they are now into Git.
func (c *canary) commit() error {
	var all strings.Builder
	for _, one := range c.objects {
		document, err := yaml.Marshal(one.Object)
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "---\n%s", document)
	}
	if err := os.MkdirAll(c.git, 0o755); err != nil {
		return err
	}
	// Another process reads it: it must find one version or the other.
	next := filepath.Join(c.git, "next")
	if err := os.WriteFile(next, []byte(all.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(c.git, "all.yaml"))
}

// manifest is the one of that kind.
func (c *canary) manifest(kind string) *object {
	for _, one := range c.objects {
		if one.GetKind() == kind {
			return one
		}
	}
	return nil
}

// routes are the HTTP routes in Git.
func routes(virtualService *object) []any {
	return list(spec(virtualService), "http")
}

// route is the HTTP route of that name, nil if there is none.
func route(virtualService *object, name string) map[string]any {
	for _, one := range routes(virtualService) {
		if found, _ := one.(map[string]any); found["name"] == name {
			return found
		}
	}
	return nil
}

// changedRoute is the name of the route whose timeout is looked at.
func (c *canary) changedRoute() string {
	if c.laneAlone {
		return c.laneRoute()
	}
	return "primary"
}

// setTimeout changes the timeout of the routes that have one.
func (c *canary) setTimeout(timeout string) error {
	for _, one := range routes(c.manifest("VirtualService")) {
		route, _ := one.(map[string]any)
		if route["timeout"] != nil && (!c.laneAlone || route["name"] == c.laneRoute()) {
			route["timeout"] = timeout
		}
	}
	return c.commit()
}

// setLabel gives each subset in Git one more label, which all pods have.
func (c *canary) setLabel() error {
	for _, one := range list(spec(c.manifest("DestinationRule")), "subsets") {
		subset := one.(map[string]any)
		labels, has := subset["labels"].(map[string]any)
		if !has {
			labels = map[string]any{}
			subset["labels"] = labels
		}
		labels["tier"] = "front"
	}
	return c.commit()
}

// dropLabel takes it away.
func (c *canary) dropLabel() error {
	for _, one := range list(spec(c.manifest("DestinationRule")), "subsets") {
		subset := one.(map[string]any)
		labels := subset["labels"].(map[string]any)
		delete(labels, "tier")
		if len(labels) == 0 {
			delete(subset, "labels")
		}
	}
	return c.commit()
}

// withoutLabels is a copy whose subsets have none in Git.
func (c *canary) withoutLabels() *canary {
	copied := *c
	copied.objects = nil
	for _, one := range c.objects {
		copied.objects = append(copied.objects, one.DeepCopy())
	}
	for _, one := range list(spec(copied.manifest("DestinationRule")), "subsets") {
		delete(one.(map[string]any), "labels")
	}
	return &copied
}

// setImage changes the version in Git.
func (c *canary) setImage(image string) error {
	template := spec(c.manifest("Rollout"))["template"].(map[string]any)
	containers := list(template["spec"].(map[string]any), "containers")
	containers[0].(map[string]any)["image"] = image
	return c.commit()
}

func (c *canary) hasSubsets() bool {
	return c.manifest("DestinationRule") != nil
}

// laneRoute is the name of the canary's lane route.
func (c *canary) laneRoute() string {
	return "serin-" + c.namespace + ".web.canary"
}

// live are the objects that Serin writes.
type live struct {
	virtualService, destinationRule *object
}

func (c *canary) live(ctx context.Context, on *cluster) (live, error) {
	var found live
	var err error
	if found.virtualService, err = on.get(ctx, virtualServices, c.namespace, "web"); err != nil {
		return found, err
	}
	if c.hasSubsets() {
		found.destinationRule, err = on.get(ctx, destinationRules, c.namespace, "web")
	}
	return found, err
}

// off is what the rollout needs and the VirtualService lacks, in words; empty if it lacks nothing.
func (c *canary) off(virtualService *object) []string {
	var off []string
	if !allHalf(virtualService) {
		off = append(off, "weights")
	}
	if route(virtualService, c.laneRoute()) == nil {
		off = append(off, "lane route")
	}
	return off
}

// offSubsets is the same of the DestinationRule.
func (c *canary) offSubsets(destinationRule *object) []string {
	if destinationRule == nil {
		return nil
	}
	for _, one := range list(spec(destinationRule), "subsets") {
		labels, _ := one.(map[string]any)["labels"].(map[string]any)
		if labels["rollouts-pod-template-hash"] == nil {
			return []string{"pod hashes"}
		}
	}
	return nil
}

// allHalf is true if every managed route of the VirtualService has weights of 50.
func allHalf(virtualService *object) bool {
	managed := []any{any(route(virtualService, "primary"))}
	managed = append(managed, list(spec(virtualService), "tls")...)
	managed = append(managed, list(spec(virtualService), "tcp")...)
	for _, one := range managed {
		found, _ := one.(map[string]any)
		destinations := list(found, "route")
		if len(destinations) != 2 {
			return false
		}
		for _, destination := range destinations {
			weight, _ := destination.(map[string]any)["weight"].(int64)
			if weight != 50 {
				return false
			}
		}
	}
	return true
}

// atHalf waits until the canary is paused behind its header route, with all that it needs in place.
func (c *canary) atHalf(ctx context.Context, on *cluster) error {
	return until(ctx, c.name+" at 50 %", patience, func() (string, error) {
		rollout, err := on.get(ctx, rollouts, c.namespace, "web")
		if errors.IsNotFound(err) {
			return "no Rollout", nil
		}
		if err != nil {
			return "", err
		}
		if step, _, _ := nestedInt(rollout, "status", "currentStepIndex"); text(rollout, "status", "phase") != "Paused" || step != 2 {
			return fmt.Sprintf("phase %q, step %d: %s", text(rollout, "status", "phase"), step, text(rollout, "status", "message")), nil
		}
		found, err := c.live(ctx, on)
		if err != nil {
			return "", err
		}
		return strings.Join(append(c.off(found.virtualService), c.offSubsets(found.destinationRule)...), ", "), nil
	})
}

// healthy waits until the Rollout is done with this image.
func (c *canary) healthy(ctx context.Context, on *cluster) error {
	return until(ctx, c.name+" healthy", patience, func() (string, error) {
		rollout, err := on.get(ctx, rollouts, c.namespace, "web")
		if errors.IsNotFound(err) {
			return "no Rollout", nil
		}
		if err != nil {
			return "", err
		}
		if phase := text(rollout, "status", "phase"); phase != "Healthy" {
			return fmt.Sprintf("phase %q: %s", phase, text(rollout, "status", "message")), nil
		}
		return "", nil
	})
}

// finish promotes the canary, which nothing that was tried may have broken, and waits until it is done.
func (c *canary) finish(ctx context.Context, on *cluster) error {
	found, err := on.get(ctx, rollouts, c.namespace, "web")
	if err != nil {
		return err
	}
	// As `kubectl argo rollouts promote` does.
	patch := map[string]any{"status": map[string]any{"pauseConditions": nil}}
	if err := on.mergeStatus(ctx, rollouts, c.namespace, found.GetName(), patch); err != nil {
		return err
	}
	if err := c.healthy(ctx, on); err != nil {
		return err
	}
	return until(ctx, c.name+" promoted", patience, func() (string, error) {
		found, err := c.live(ctx, on)
		if err != nil {
			return "", err
		}
		if c.name != "declared" && route(found.virtualService, c.laneRoute()) != nil {
			return "the lane route is still there", nil
		}
		return "", nil
	})
}

// restored waits until what a tool has written is put right, and says whether it was.
func (c *canary) restored(ctx context.Context, on *cluster) (bool, error) {
	err := until(ctx, c.name+" put right", 5*time.Second, func() (string, error) {
		found, err := c.live(ctx, on)
		if err != nil {
			return "", err
		}
		return strings.Join(append(c.off(found.virtualService), c.offSubsets(found.destinationRule)...), ", "), nil
	})
	return err == nil, nil
}
