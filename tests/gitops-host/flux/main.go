// Flux's own applier (fluxcd/pkg/ssa) on a file of manifests, with the options that kustomize-controller v1.10.1 gives to it
// (internal/controller/kustomization_controller.go, KustomizationReconciler.apply).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

const (
	controller = "kustomize-controller"
	group      = "kustomize.toolkit.fluxcd.io"
)

func main() {
	file := flag.String("file", "", "the manifests")
	name := flag.String("name", "", "the Kustomization's name")
	ignore := flag.String("ignore", "[]", "its spec.ignore, as JSON")
	flag.Parse()
	if err := run(context.Background(), *file, *name, *ignore); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file, name, ignore string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	objects, err := utils.ReadObjects(opened)
	if err != nil {
		return err
	}
	if err := normalize.UnstructuredList(objects); err != nil {
		return err
	}
	var rules []jsondiff.IgnoreRule
	if err := json.Unmarshal([]byte(ignore), &rules); err != nil {
		return err
	}
	manager, err := newManager(config)
	if err != nil {
		return err
	}
	manager.SetOwnerLabels(objects, name, "flux-system")
	changes, err := manager.ApplyAllStaged(ctx, objects, options(rules))
	if err != nil {
		return err
	}
	for _, change := range changes.Entries {
		fmt.Println(change.Action, change.Subject)
	}
	return nil
}

func newManager(config *rest.Config) (*ssa.ResourceManager, error) {
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	if err != nil {
		return nil, err
	}
	kube, err := client.New(config, client.Options{Mapper: mapper})
	if err != nil {
		return nil, err
	}
	poller := polling.NewStatusPoller(kube, mapper, polling.Options{})
	return ssa.NewResourceManager(kube, poller, ssa.Owner{Field: controller, Group: group}), nil
}

// options are those of a Kustomization without fields of its own but spec.ignore.
func options(rules []jsondiff.IgnoreRule) ssa.ApplyOptions {
	all := ssa.DefaultApplyOptions()
	all.ExclusionSelector = map[string]string{group + "/reconcile": "disabled", group + "/ssa": "Ignore"}
	all.IfNotPresentSelector = map[string]string{group + "/ssa": "IfNotPresent"}
	all.ForceSelector = map[string]string{group + "/force": "enabled"}
	all.DriftIgnoreRules = rules
	manager := func(name string, operation metav1.ManagedFieldsOperationType) ssa.FieldManager {
		return ssa.FieldManager{Name: name, OperationType: operation}
	}
	all.Cleanup = ssa.ApplyCleanupOptions{
		Annotations: []string{corev1.LastAppliedConfigAnnotation},
		FieldManagers: []ssa.FieldManager{
			manager("kubectl", metav1.ManagedFieldsOperationApply),
			manager("kubectl", metav1.ManagedFieldsOperationUpdate),
			manager("before-first-apply", metav1.ManagedFieldsOperationUpdate),
			manager(controller, metav1.ManagedFieldsOperationUpdate),
		},
		Exclusions: map[string]string{group + "/ssa": "Merge"},
	}
	return all
}
