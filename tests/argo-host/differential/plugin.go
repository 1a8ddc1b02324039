package main

import (
	"fmt"
	"os"
	"path/filepath"

	goPlugin "github.com/hashicorp/go-plugin"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/client"
	"github.com/argoproj/argo-rollouts/utils/config"
	"github.com/argoproj/argo-rollouts/utils/defaults"
)

// pluginName is what Rollouts call the plugin.
const pluginName = "serin/istio"

// startPlugin starts the program as the controller does, with the controller's own packages. The returned function
// ends it and removes what it needed.
func startPlugin(program string) (func(), error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	workdir, err := os.MkdirTemp("", "differential")
	if err != nil {
		return nil, err
	}
	stop := func() {
		goPlugin.CleanupClients()
		os.RemoveAll(workdir)
	}
	if err := startIn(workdir, program); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func startIn(workdir, program string) error {
	dir, file, err := config.GetPluginDirectoryAndFilename(pluginName)
	if err != nil {
		return err
	}
	// Plugins are looked for below the working folder.
	folder := filepath.Join(workdir, defaults.DefaultRolloutPluginFolder, dir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(program, filepath.Join(folder, file)); err != nil {
		return err
	}
	if err := os.Chdir(workdir); err != nil {
		return err
	}
	item := fmt.Sprintf("- name: %s\n  location: file://%s\n  args: [--log-level=error]\n", pluginName, program)
	if _, err = config.InitializeConfig(fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "argo-rollouts-config", Namespace: defaults.Namespace()},
		Data:       map[string]string{"trafficRouterPlugins": item},
	}), "argo-rollouts-config"); err != nil {
		return err
	}
	_, err = client.GetTrafficPlugin(pluginName)
	return err
}
