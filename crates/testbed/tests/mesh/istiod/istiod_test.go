// Writes hosts.json: the virtual hosts that istiod makes of objects.yaml for the embedded mesh's two proxies. And
// domains.json: for more proxies, under which domains their tables have the routes of each VirtualService.
//
// To run it, copy it beside tests/real-stack/programs/istio's go.mod and go.sum, then
// GOFLAGS=-mod=mod OBJECTS=…/objects.yaml HOSTS=…/hosts.json DOMAINS=…/domains.json go test .
// (either of the two may be left out). The module istio.io/istio v0.0.0-20260827124520-eed52ebb66ad writes the same.
package istiod

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/host"
	"istio.io/istio/pkg/config/kube"
	"istio.io/istio/pkg/config/protocol"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// A Service as far as routes depend on it; one without ports is for HTTP on port 80.
type service struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Type, ClusterIP, ExternalName string
		Ports                         []struct {
			Name        string
			Port        int32
			AppProtocol *string
		}
	}
}

// As kube.ConvertService, whose arguments differ from one version to the next.
func (one service) model() *model.Service {
	out := &model.Service{
		Hostname:       host.Name(one.Metadata.Name + "." + one.Metadata.Namespace + ".svc.cluster.local"),
		DefaultAddress: one.Spec.ClusterIP,
		Resolution:     model.ClientSideLB,
		Ports:          model.PortList{{Name: "http", Port: 80, Protocol: protocol.HTTP}},
		Attributes: model.ServiceAttributes{
			Name:            one.Metadata.Name,
			Namespace:       one.Metadata.Namespace,
			ServiceRegistry: provider.Kubernetes,
		},
	}
	if len(one.Spec.Ports) > 0 {
		out.Ports = nil
	}
	for _, port := range one.Spec.Ports {
		out.Ports = append(out.Ports, &model.Port{
			Name:     port.Name,
			Port:     int(port.Port),
			Protocol: kube.ConvertProtocol(port.Port, port.Name, corev1.ProtocolTCP, port.AppProtocol),
		})
	}
	if one.Spec.ClusterIP == "None" {
		out.Resolution = model.Passthrough
		out.DefaultAddress = constants.UnspecifiedIP
	}
	if one.Spec.Type == "ExternalName" {
		out.Resolution = model.Alias
		out.MeshExternal = true
		out.Attributes.K8sAttributes.ExternalName = one.Spec.ExternalName
	}
	return out
}

func proxy(kind model.NodeType, namespace, key, value string) *model.Proxy {
	labels := map[string]string{key: value}
	return &model.Proxy{
		Type:            kind,
		ConfigNamespace: namespace,
		DNSDomain:       namespace + ".svc.cluster.local",
		Labels:          labels,
		Metadata:        &model.NodeMetadata{Namespace: namespace, Labels: labels},
		IPAddresses:     []string{"127.0.0.1"},
	}
}

// What istiod would know of OBJECTS.
func generator(t *testing.T) *core.ConfigGenTest {
	features.DisableShadowHostSuffix = false
	text, err := os.ReadFile(os.Getenv("OBJECTS"))
	if err != nil {
		t.Fatal(err)
	}
	var services []*model.Service
	var configs []string
	for _, document := range strings.Split(string(text), "\n---\n") {
		var one service
		if err := yaml.Unmarshal([]byte(document), &one); err != nil {
			t.Fatal(err)
		}
		if one.Kind == "Service" {
			services = append(services, one.model())
		} else {
			configs = append(configs, document)
		}
	}
	return core.NewConfigGenTest(t, core.TestOptions{
		ConfigString: strings.Join(configs, "\n---\n"),
		Services:     services,
	})
}

func TestDomains(t *testing.T) {
	path := os.Getenv("DOMAINS")
	if path == "" {
		t.Skip("no DOMAINS to write")
	}
	generator := generator(t)
	// By proxy, table and VirtualService.
	out := map[string]map[string]map[string][]string{}
	for name, proxy := range map[string]*model.Proxy{
		"sidecar in shop":   proxy(model.SidecarProxy, "shop", "app", "web"),
		"sidecar in client": proxy(model.SidecarProxy, "client", "app", "client"),
		"sidecar in scoped": proxy(model.SidecarProxy, "scoped", "app", "scoped"),
		"gateway":           proxy(model.Router, "istio-system", "istio", "ingressgateway"),
	} {
		tables := map[string]map[string][]string{}
		for _, routes := range generator.Routes(generator.SetupProxy(proxy)) {
			for _, host := range routes.VirtualHosts {
				for _, route := range host.Routes {
					config := route.GetMetadata().GetFilterMetadata()["istio"].GetFields()["config"].GetStringValue()
					parts := strings.Split(strings.TrimPrefix(config, "/apis/networking.istio.io/v1/namespaces/"), "/")
					if len(parts) != 3 || parts[1] != "virtual-service" {
						continue
					}
					service := parts[0] + "/" + parts[2]
					if tables[routes.Name] == nil {
						tables[routes.Name] = map[string][]string{}
					}
					all := append(tables[routes.Name][service], host.Domains...)
					sort.Strings(all)
					tables[routes.Name][service] = slices.Compact(all)
				}
			}
		}
		out[name] = tables
	}
	written, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(written, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWrite(t *testing.T) {
	path := os.Getenv("HOSTS")
	if path == "" {
		t.Skip("no HOSTS to write")
	}
	generator := generator(t)
	out := map[string][][]byte{}
	for name, proxy := range map[string]*model.Proxy{
		"80":      proxy(model.SidecarProxy, "client", "app", "client"),
		"http.80": proxy(model.Router, "istio-system", "istio", "ingressgateway"),
	} {
		for _, routes := range generator.Routes(generator.SetupProxy(proxy)) {
			if routes.Name != name {
				continue
			}
			for _, host := range routes.VirtualHosts {
				written, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(host)
				if err != nil {
					t.Fatal(err)
				}
				// Spaces differ from build to build.
				var compact bytes.Buffer
				if err := json.Compact(&compact, written); err != nil {
					t.Fatal(err)
				}
				out[name] = append(out[name], compact.Bytes())
			}
		}
	}
	// A line for each host.
	var written bytes.Buffer
	for index, name := range []string{"80", "http.80"} {
		written.WriteString([]string{"{", ",\n"}[index] + "\"" + name + "\": [\n")
		written.Write(bytes.Join(out[name], []byte(",\n")))
		written.WriteString("\n]")
	}
	written.WriteString("}\n")
	if err := os.WriteFile(path, written.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
