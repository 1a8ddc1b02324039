// Writes hosts.json: the virtual hosts that istiod makes of objects.yaml for the embedded mesh's two proxies.
//
// To run it, copy it beside tests/real-stack/programs/istio's go.mod and go.sum, then
// GOFLAGS=-mod=mod OBJECTS=…/objects.yaml HOSTS=…/hosts.json go test .
package istiod

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/config/host"
	"istio.io/istio/pkg/config/protocol"
	"sigs.k8s.io/yaml"
)

// A Service as far as routes depend on it; all are for HTTP on port 80.
type service struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct{ ClusterIP string }
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

func TestWrite(t *testing.T) {
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
		if one.Kind != "Service" {
			configs = append(configs, document)
			continue
		}
		services = append(services, &model.Service{
			Hostname:       host.Name(one.Metadata.Name + "." + one.Metadata.Namespace + ".svc.cluster.local"),
			DefaultAddress: one.Spec.ClusterIP,
			Resolution:     model.ClientSideLB,
			Ports:          model.PortList{{Name: "http", Port: 80, Protocol: protocol.HTTP}},
			Attributes: model.ServiceAttributes{
				Name:            one.Metadata.Name,
				Namespace:       one.Metadata.Namespace,
				ServiceRegistry: provider.Kubernetes,
			},
		})
	}
	generator := core.NewConfigGenTest(t, core.TestOptions{
		ConfigString: strings.Join(configs, "\n---\n"),
		Services:     services,
	})
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
	if err := os.WriteFile(os.Getenv("HOSTS"), written.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
