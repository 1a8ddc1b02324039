// Program builtin-plugin is Argo's own Istio reconciler as a traffic-router plugin in Go, for
// comparison: each call is handed to `istio.NewReconciler` with the plugin's block in the place of
// `trafficRouting.istio`.
//
//	builtin-plugin                      reads every object by GET, as a plain plugin would
//	builtin-plugin -informers           reads from informers, as the controller does
//	    -selector bench=informers       which VirtualServices and DestinationRules they watch
//
// A plugin host starts it; it finds the cluster by KUBECONFIG, or by the pod it runs in. It sends no
// Events, and its client has no rate limit (the controller's is 40 requests a second).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	goPlugin "github.com/hashicorp/go-plugin"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/dynamic/dynamiclister"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	k8srecord "k8s.io/client-go/tools/record"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/istio"
	pluginrpc "github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	istioutil "github.com/argoproj/argo-rollouts/utils/istio"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
	"github.com/argoproj/argo-rollouts/utils/record"
)

// block is the key in `trafficRouting.plugins` whose content is taken for the `istio` block.
const block = "serin/istio"

// firstList is how long a call waits for the informers' first list.
const firstList = 10 * time.Second

func main() {
	useInformers := flag.Bool("informers", false, "read from informers instead of by GET")
	selector := flag.String("selector", "", "label selector of the informers")
	flag.Parse()
	goPlugin.Serve(&goPlugin.ServeConfig{
		// As in the controller's client package, which keeps it to itself.
		HandshakeConfig: goPlugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "ARGO_ROLLOUTS_RPC_PLUGIN",
			MagicCookieValue: "trafficrouter",
		},
		Plugins: map[string]goPlugin.Plugin{
			"RpcTrafficRouterPlugin": &pluginrpc.RpcTrafficRouterPlugin{
				Impl: &builtIn{useInformers: *useInformers, selector: *selector},
			},
		},
	})
}

// builtIn hands each call to a reconciler made for it, as the controller does at every reconcile.
type builtIn struct {
	useInformers bool
	selector     string

	kube    kubernetes.Interface
	dynamic dynamic.Interface
	// Nil without informers.
	virtualServices, destinationRules dynamiclister.Lister
	replicaSets                       appslisters.ReplicaSetLister
	synced                            []cache.InformerSynced
}

func (b *builtIn) InitPlugin() types.RpcError { return answer(b.connect()) }

func (b *builtIn) connect() error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS = -1
	if b.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if b.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if b.useInformers {
		b.startInformers()
	}
	return nil
}

func (b *builtIn) startInformers() {
	tweak := func(options *metav1.ListOptions) { options.LabelSelector = b.selector }
	istioFactory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(b.dynamic, 0, metav1.NamespaceAll, tweak)
	virtualServices := istioFactory.ForResource(istioutil.GetIstioVirtualServiceGVR()).Informer()
	destinationRules := istioFactory.ForResource(istioutil.GetIstioDestinationRuleGVR()).Informer()
	kubeFactory := informers.NewSharedInformerFactoryWithOptions(b.kube, 0, informers.WithTweakListOptions(tweak))
	replicaSets := kubeFactory.Apps().V1().ReplicaSets()
	b.virtualServices = dynamiclister.New(virtualServices.GetIndexer(), istioutil.GetIstioVirtualServiceGVR())
	b.destinationRules = dynamiclister.New(destinationRules.GetIndexer(), istioutil.GetIstioDestinationRuleGVR())
	b.replicaSets = replicaSets.Lister()
	b.synced = []cache.InformerSynced{virtualServices.HasSynced, destinationRules.HasSynced, replicaSets.Informer().HasSynced}
	never := make(chan struct{})
	istioFactory.Start(never)
	kubeFactory.Start(never)
}

// reconciler is made for one call. Only UpdateHash looks at ReplicaSets, and only where the Rollout
// names no Services.
func (b *builtIn) reconciler(rollout *v1alpha1.Rollout, readReplicaSets bool) (*istio.Reconciler, error) {
	canary := rollout.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil {
		return nil, errors.New("no traffic routing")
	}
	written, ok := canary.TrafficRouting.Plugins[block]
	if !ok {
		return nil, fmt.Errorf("no block %q", block)
	}
	canary.TrafficRouting.Istio = &v1alpha1.IstioTrafficRouting{}
	if err := json.Unmarshal(written, canary.TrafficRouting.Istio); err != nil {
		return nil, err
	}
	if b.useInformers {
		if err := b.wait(); err != nil {
			return nil, err
		}
	}
	var replicaSets []*appsv1.ReplicaSet
	if readReplicaSets && canary.CanaryService == "" && canary.StableService == "" {
		var err error
		if replicaSets, err = b.replicaSetsOf(rollout); err != nil {
			return nil, err
		}
	}
	if b.useInformers {
		return istio.NewReconciler(rollout, b.dynamic, quiet{}, b.virtualServices, b.destinationRules, replicaSets), nil
	}
	return istio.NewReconciler(rollout, b.dynamic, quiet{}, nil, nil, replicaSets), nil
}

// wait for the informers' first list; afterwards it costs nothing.
func (b *builtIn) wait() error {
	for deadline := time.Now().Add(firstList); ; time.Sleep(time.Millisecond) {
		ready := true
		for _, synced := range b.synced {
			ready = ready && synced()
		}
		if ready {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the informers have not listed")
		}
	}
}

func (b *builtIn) replicaSetsOf(rollout *v1alpha1.Rollout) ([]*appsv1.ReplicaSet, error) {
	selector, err := metav1.LabelSelectorAsSelector(rollout.Spec.Selector)
	if err != nil {
		return nil, err
	}
	if b.useInformers {
		return b.replicaSets.ReplicaSets(rollout.Namespace).List(selector)
	}
	// From the API server's cache, as informers list: without a version the list waits for that cache to
	// catch up with etcd, for tens of milliseconds after a write to any kind.
	listed, err := b.kube.AppsV1().ReplicaSets(rollout.Namespace).List(
		context.TODO(), metav1.ListOptions{LabelSelector: selector.String(), ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	found := make([]*appsv1.ReplicaSet, 0, len(listed.Items))
	for i := range listed.Items {
		found = append(found, &listed.Items[i])
	}
	return found, nil
}

func (b *builtIn) UpdateHash(rollout *v1alpha1.Rollout, canary, stable string, more []v1alpha1.WeightDestination) types.RpcError {
	reconciler, err := b.reconciler(rollout, true)
	if err != nil {
		return answer(err)
	}
	return answer(reconciler.UpdateHash(canary, stable, more...))
}

func (b *builtIn) SetWeight(rollout *v1alpha1.Rollout, weight int32, more []v1alpha1.WeightDestination) types.RpcError {
	reconciler, err := b.reconciler(rollout, false)
	if err != nil {
		return answer(err)
	}
	return answer(reconciler.SetWeight(weight, more...))
}

func (b *builtIn) SetHeaderRoute(rollout *v1alpha1.Rollout, route *v1alpha1.SetHeaderRoute) types.RpcError {
	reconciler, err := b.reconciler(rollout, false)
	if err != nil {
		return answer(err)
	}
	return answer(reconciler.SetHeaderRoute(route))
}

func (b *builtIn) SetMirrorRoute(rollout *v1alpha1.Rollout, route *v1alpha1.SetMirrorRoute) types.RpcError {
	reconciler, err := b.reconciler(rollout, false)
	if err != nil {
		return answer(err)
	}
	return answer(reconciler.SetMirrorRoute(route))
}

func (b *builtIn) VerifyWeight(rollout *v1alpha1.Rollout, weight int32, more []v1alpha1.WeightDestination) (types.RpcVerified, types.RpcError) {
	reconciler, err := b.reconciler(rollout, false)
	if err != nil {
		return types.NotVerified, answer(err)
	}
	verified, err := reconciler.VerifyWeight(weight, more...)
	switch {
	case err != nil:
		return types.NotVerified, answer(err)
	case verified == nil:
		return types.NotImplemented, types.RpcError{}
	case *verified:
		return types.Verified, types.RpcError{}
	}
	return types.NotVerified, types.RpcError{}
}

func (b *builtIn) RemoveManagedRoutes(rollout *v1alpha1.Rollout) types.RpcError {
	reconciler, err := b.reconciler(rollout, false)
	if err != nil {
		return answer(err)
	}
	return answer(reconciler.RemoveManagedRoutes())
}

func (b *builtIn) Type() string { return istio.Type }

func answer(err error) types.RpcError {
	if err != nil {
		return types.RpcError{ErrorString: err.Error()}
	}
	return types.RpcError{}
}

// quiet records nothing: the other plugin sends no Events either.
type quiet struct{}

func (quiet) Eventf(runtime.Object, record.EventOptions, string, ...any) {}
func (quiet) Warnf(runtime.Object, record.EventOptions, string, ...any)  {}
func (quiet) K8sRecorder() k8srecord.EventRecorder                       { return nil }
