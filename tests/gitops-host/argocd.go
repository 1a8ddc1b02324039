package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	argocdNamespace = "argocd"
	// repository is the name of a repository that no controller asks: manifests come from a folder.
	repository = "https://git.example.com/shop.git"
)

// argocd is a running application controller.
type argocd struct {
	on      *cluster
	command *exec.Cmd
	ended   chan error
}

// install makes what Argo CD's installation has on the cluster: kinds, settings, a project and the cluster itself.
func install(ctx context.Context, on *cluster, crds string) error {
	for _, name := range []string{"application", "appproject"} {
		path := filepath.Join(crds, name+"-crd.yaml")
		found, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		definition := &object{}
		if err := yaml.Unmarshal(found, &definition.Object); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := on.write(ctx, definitions, definition); err != nil {
			return err
		}
		err = until(ctx, definition.GetName(), patience, func() (string, error) {
			found, err := on.get(ctx, definitions, "", definition.GetName())
			if err != nil {
				return "", err
			}
			for _, one := range list(found.Object["status"].(map[string]any), "conditions") {
				condition := one.(map[string]any)
				if condition["type"] == "Established" && condition["status"] == "True" {
					return "", nil
				}
			}
			return "not established", nil
		})
		if err != nil {
			return err
		}
	}
	if err := on.write(ctx, namespaces, made("v1", "Namespace", "", argocdNamespace, nil)); err != nil {
		return err
	}
	labelled := func(one *object, labels map[string]string) *object {
		one.SetLabels(labels)
		return one
	}
	partOf := map[string]string{"app.kubernetes.io/part-of": "argocd"}
	connection, err := connection(on)
	if err != nil {
		return err
	}
	for _, one := range []*object{
		labelled(made("v1", "ConfigMap", argocdNamespace, "argocd-cm", nil), partOf),
		labelled(made("v1", "ConfigMap", argocdNamespace, "argocd-rbac-cm", nil), partOf),
	} {
		if err := on.write(ctx, configMaps, one); err != nil {
			return err
		}
	}
	for _, one := range []*object{
		labelled(made("v1", "Secret", argocdNamespace, "argocd-secret", map[string]any{
			"stringData": map[string]any{"server.secretkey": "not a secret, as nobody logs in"},
		}), partOf),
		labelled(made("v1", "Secret", argocdNamespace, "cluster", map[string]any{"stringData": connection}),
			map[string]string{"argocd.argoproj.io/secret-type": "cluster"}),
	} {
		if err := on.write(ctx, secrets, one); err != nil {
			return err
		}
	}
	anything := []any{map[string]any{"group": "*", "kind": "*"}}
	project := made("argoproj.io/v1alpha1", "AppProject", argocdNamespace, "default", map[string]any{"spec": map[string]any{
		"sourceRepos":              []any{"*"},
		"destinations":             []any{map[string]any{"server": "*", "namespace": "*"}},
		"clusterResourceWhitelist": anything,
	}})
	return on.write(ctx, projects, project)
}

// connection is how Argo CD is told to reach this cluster.
func connection(on *cluster) (map[string]any, error) {
	read := func(data []byte, file string) (string, error) {
		if len(data) == 0 && file != "" {
			var err error
			if data, err = os.ReadFile(file); err != nil {
				return "", err
			}
		}
		return base64.StdEncoding.EncodeToString(data), nil
	}
	tls := on.config.TLSClientConfig
	config := map[string]any{}
	client := map[string]any{"insecure": tls.Insecure}
	for name, from := range map[string]struct {
		data []byte
		file string
	}{"caData": {tls.CAData, tls.CAFile}, "certData": {tls.CertData, tls.CertFile}, "keyData": {tls.KeyData, tls.KeyFile}} {
		found, err := read(from.data, from.file)
		if err != nil {
			return nil, err
		}
		if found != "" {
			client[name] = found
		}
	}
	config["tlsClientConfig"] = client
	if on.config.BearerToken != "" {
		config["bearerToken"] = on.config.BearerToken
	}
	text, err := json.Marshal(config)
	return map[string]any{"name": "stack", "server": on.config.Host, "config": string(text)}, err
}

// made is an object with these fields beside its name.
func made(version, kind, namespace, name string, fields map[string]any) *object {
	one := &object{Object: map[string]any{}}
	for field, value := range fields {
		one.Object[field] = value
	}
	one.SetAPIVersion(version)
	one.SetKind(kind)
	one.SetName(name)
	one.SetNamespace(namespace)
	return one
}

// start runs Argo CD's application controller with its own defaults but for these flags, until stop.
func start(on *cluster, program, git, log string, flags ...string) (*argocd, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	words := append([]string{"-git", git, "--", "--kubeconfig", os.Getenv("KUBECONFIG"),
		"--namespace", argocdNamespace, "--metrics-port", "18082", "--logformat", "text"}, flags...)
	command := exec.Command(program, words...)
	command.Stdout, command.Stderr = file, file
	// What a sync waits between its waves, in seconds.
	command.Env = append(os.Environ(), "ARGOCD_SYNC_WAVE_DELAY=0")
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting Argo CD: %w", err)
	}
	one := &argocd{on, command, make(chan error, 1)}
	go func() { one.ended <- command.Wait() }()
	return one, nil
}

// stop ends the controller.
func (a *argocd) stop() {
	_ = a.command.Process.Kill()
	a.ended <- <-a.ended
}

// setting is what the user tells Argo CD.
type setting struct {
	options     []string
	ignore      []any
	automated   map[string]any
	annotations map[string]string
	// laneAlone is no setting: it is true where the user changes the timeout of the lane route and of no other.
	laneAlone bool
	// noLabels is no setting either: it is true where subsets have no label in Git.
	noLabels bool
}

// configure makes the Application of a canary, or gives it another setting.
func (a *argocd) configure(ctx context.Context, to *canary, with setting) error {
	options := []any{}
	for _, option := range with.options {
		options = append(options, option)
	}
	policy := map[string]any{"syncOptions": options}
	if with.automated != nil {
		policy["automated"] = with.automated
	}
	fields := map[string]any{
		"project": "default",
		"source":  map[string]any{"repoURL": repository, "path": to.name, "targetRevision": "main"},
		"destination": map[string]any{
			"server": a.on.config.Host, "namespace": to.namespace,
		},
		"syncPolicy": policy,
	}
	if len(with.ignore) > 0 {
		fields["ignoreDifferences"] = with.ignore
	}
	one := made("argoproj.io/v1alpha1", "Application", argocdNamespace, to.name, map[string]any{"spec": fields})
	one.SetAnnotations(with.annotations)
	return a.on.write(ctx, applications, one)
}

// refresh lets Argo CD compare anew, and returns the Application with what it has found.
func (a *argocd) refresh(ctx context.Context, to *canary) (*object, error) {
	const annotation = "argocd.argoproj.io/refresh"
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotation: "hard"}}}
	if err := a.on.merge(ctx, applications, argocdNamespace, to.name, patch); err != nil {
		return nil, err
	}
	var found *object
	err := until(ctx, "Argo CD compares "+to.name, patience, func() (string, error) {
		if err := a.running(); err != nil {
			return "", err
		}
		var err error
		if found, err = a.on.get(ctx, applications, argocdNamespace, to.name); err != nil {
			return "", err
		}
		if _, asked := found.GetAnnotations()[annotation]; asked {
			return "not yet compared", nil
		}
		return "", nil
	})
	if err != nil {
		return nil, err
	}
	status, _ := found.Object["status"].(map[string]any)
	for _, one := range list(status, "conditions") {
		condition := one.(map[string]any)
		if kind, _ := condition["type"].(string); strings.HasSuffix(kind, "Error") {
			return nil, fmt.Errorf("Argo CD on %s: %v: %v", to.name, kind, condition["message"])
		}
	}
	return found, nil
}

func (a *argocd) running() error {
	select {
	case err := <-a.ended:
		a.ended <- err
		return fmt.Errorf("Argo CD's controller has ended: %v", err)
	default:
		return nil
	}
}

// outOfSync are the kinds of Serin's objects that Argo CD takes for out of sync.
func outOfSync(application *object) []string {
	var kinds []string
	status, _ := application.Object["status"].(map[string]any)
	for _, one := range list(status, "resources") {
		resource := one.(map[string]any)
		kind, _ := resource["kind"].(string)
		isSerins := slices.Contains([]string{"VirtualService", "DestinationRule", "WasmPlugin"}, kind)
		if isSerins && resource["status"] != "Synced" {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// apply is the button: a sync with the options of the Application. It returns how it ended where it has not succeeded.
func (a *argocd) apply(ctx context.Context, to *canary) (string, error) {
	application, err := a.on.get(ctx, applications, argocdNamespace, to.name)
	if err != nil {
		return "", err
	}
	before := text(application, "status", "operationState", "finishedAt")
	policy, _ := spec(application)["syncPolicy"].(map[string]any)
	patch := map[string]any{"operation": map[string]any{
		"initiatedBy": map[string]any{"username": "user"},
		"sync":        map[string]any{"revision": "main", "syncOptions": list(policy, "syncOptions")},
	}}
	// A time has a resolution of a second: two syncs must not end at the same.
	if ended, err := time.Parse(time.RFC3339, before); err == nil {
		time.Sleep(time.Until(ended.Add(1100 * time.Millisecond)))
	}
	if err := a.on.merge(ctx, applications, argocdNamespace, to.name, patch); err != nil {
		return "", err
	}
	ended := ""
	err = until(ctx, "Argo CD syncs "+to.name, patience, func() (string, error) {
		if err := a.running(); err != nil {
			return "", err
		}
		found, err := a.on.get(ctx, applications, argocdNamespace, to.name)
		if err != nil {
			return "", err
		}
		phase := text(found, "status", "operationState", "phase")
		if text(found, "status", "operationState", "finishedAt") == before || found.Object["operation"] != nil {
			return "phase " + phase, nil
		}
		if phase != "Succeeded" {
			ended = fmt.Sprintf("the sync ends as %s: %s", phase, text(found, "status", "operationState", "message"))
		}
		return "", nil
	})
	return ended, err
}
