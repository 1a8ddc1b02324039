// What GitOps tools do to a canary that is under way: Argo CD's own controller, Flux's own applier and kubectl, on the
// Rollouts of the whole real stack. It prints the tables of docs/gitops.md, and ends with an error where the page says
// something else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// programs are what the check runs, and where the page is.
type programs struct {
	argocd, argocdBefore, crds, flux, doc string
	writes                                bool
}

func main() {
	var with programs
	flag.StringVar(&with.argocd, "argocd", "", "Argo CD's application controller")
	flag.StringVar(&with.argocdBefore, "argocd-before", "", "the same of the minor version before; absent, it is left out")
	flag.StringVar(&with.crds, "crds", "", "folder of Argo CD's CustomResourceDefinitions")
	flag.StringVar(&with.flux, "flux", "", "Flux's applier")
	flag.StringVar(&with.doc, "doc", "", "docs/gitops.md")
	flag.BoolVar(&with.writes, "write-doc", false, "write the tables into the page")
	flag.Parse()
	began := time.Now()
	if err := run(context.Background(), with); err != nil {
		fmt.Fprintf(os.Stderr, "gitops: %v\n", err)
		os.Exit(1)
	}
	say("all of docs/gitops.md seen in %.0f s", time.Since(began).Seconds())
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "    "+format+"\n", values...)
}

func run(ctx context.Context, with programs) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	on, err := connect(config)
	if err != nil {
		return err
	}
	git, err := os.MkdirTemp("", "serin-gitops-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(git)
	if err := install(ctx, on, with.crds); err != nil {
		return err
	}
	canaries := map[string]*canary{}
	for _, name := range []string{"subsets", "hosts", "declared"} {
		if canaries[name], err = newCanary(git, name); err != nil {
			return err
		}
		namespace := made("v1", "Namespace", "", "gitops-"+name, nil)
		if err := on.write(ctx, namespaces, namespace); err != nil {
			return err
		}
	}
	tables, err := withArgoCD(ctx, on, with, git, canaries)
	if err != nil {
		return err
	}
	rows, err := tryAll(ctx, on, canaries, kustomizations(with.flux))
	if err != nil {
		return fmt.Errorf("Flux: %w", err)
	}
	tables = append(tables, table{"flux", rows})
	if rows, err = tryAll(ctx, on, canaries, pipelines()); err != nil {
		return fmt.Errorf("kubectl: %w", err)
	}
	for _, one := range canaries {
		if err := one.finish(ctx, on); err != nil {
			return err
		}
	}
	return report(append(tables, table{"kubectl", rows}), with)
}

// withArgoCD brings the canaries to 50 % with Argo CD, and tries every line.
func withArgoCD(ctx context.Context, on *cluster, with programs, git string, canaries map[string]*canary) ([]table, error) {
	argo, err := start(on, with.argocd, git, log("argocd"))
	if err != nil {
		return nil, err
	}
	defer func() { argo.stop() }()
	if err := roll(ctx, argo, canaries); err != nil {
		return nil, err
	}
	for _, one := range canaries {
		if health, err := argo.health(ctx, one); err != nil || health != "Suspended" {
			return nil, fmt.Errorf("%s at its pause: Argo CD says %q, expected Suspended: %w", one.name, health, err)
		}
	}
	rows, err := argo.rows(ctx, canaries)
	if err != nil {
		return nil, err
	}
	if err := argo.unnoticed(ctx, os.Getenv("SERIN_SIDECAR"), canaries); err != nil {
		return nil, err
	}
	filtered, err := argo.filters(ctx, git)
	if err != nil {
		return nil, err
	}
	healed, err := argo.heals(ctx, canaries, heals)
	if err != nil {
		return nil, err
	}
	argo.stop()
	if argo, err = start(on, with.argocd, git, log("argocd-no-backoff"), "--self-heal-backoff-timeout-seconds", "0"); err != nil {
		return nil, err
	}
	atOnce, err := argo.heals(ctx, canaries, noBackoff)
	tables := []table{{"argo-cd", rows}, {"filter", filtered}, {"self-heal", healHeading + healed + atOnce}}
	if err != nil || with.argocdBefore == "" {
		return tables, err
	}
	argo.stop()
	if argo, err = start(on, with.argocdBefore, git, log("argocd-before")); err != nil {
		return nil, err
	}
	before, err := argo.rows(ctx, canaries)
	if err == nil && before != rows {
		err = fmt.Errorf("the version before does otherwise (said: the newer):\n%s", difference(rows, before))
	}
	return tables, err
}

func log(name string) string {
	return filepath.Join(os.Getenv("SERIN_LOGS"), name+".log")
}

// roll installs the canaries' first version, and updates them to the second.
func roll(ctx context.Context, argo *argocd, canaries map[string]*canary) error {
	for _, image := range []string{"web:1", "web:2"} {
		for _, one := range canaries {
			ignore := managed
			if one.name == "declared" {
				ignore = declared
			}
			if err := argo.configure(ctx, one, setting{options: []string{outOnly}, ignore: ignore}); err != nil {
				return err
			}
			if err := one.setImage(image); err != nil {
				return err
			}
			if _, err := argo.status(ctx, one); err != nil {
				return err
			}
			if ended, err := argo.apply(ctx, one); err != nil || ended != "" {
				return fmt.Errorf("%s: %s%w", one.name, ended, err)
			}
		}
		for _, one := range canaries {
			wait := one.healthy
			if image == "web:2" {
				wait = one.atHalf
			}
			if err := wait(ctx, argo.on); err != nil {
				return err
			}
			say("%s: %s", one.name, image)
		}
	}
	return nil
}
