// Program argo-host calls a traffic-router plugin exactly as the Argo Rollouts controller does,
// with the controller's own packages, and checks what the plugin read.
//
//	argo-host -plugin PROGRAM -check      every method, load, ping, kill, restart
//	argo-host -plugin PROGRAM -bench N    the time of one call
//	argo-host -record DIR                 the bytes of each call, as net/rpc writes them
//	argo-host -serve                      (started by a host) the same echo plugin in Go
//
// The plugin is the example "echo" of the crate argo-rollouts: it answers each call with an error
// whose text is what it read, as JSON.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/argoproj/argo-rollouts/utils/config"
	"github.com/argoproj/argo-rollouts/utils/defaults"
)

// name is what Rollouts call the plugin.
const name = "serin/echo"

func main() {
	program := flag.String("plugin", "", "the plugin to call")
	check := flag.Bool("check", false, "check every method")
	calls := flag.Int("bench", 0, "time this many calls")
	record := flag.String("record", "", "write the bytes of each call into this folder")
	serve := flag.Bool("serve", false, "be the plugin")
	flag.Parse()

	switch {
	case *serve:
		servePlugin()
	case *record != "":
		must(recordCalls(*record))
	case *program == "":
		fail("-plugin is missing")
	default:
		must(register(*program))
		defer os.RemoveAll(workdir)
		if *check {
			must(checkAll())
		}
		if *calls > 0 {
			must(bench(*calls))
		}
	}
}

// workdir is the controller's working folder: plugins live under plugin-bin in it.
var workdir string

// register puts the plugin where the controller's downloader would, and names it in the ConfigMap.
func register(program string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	if workdir, err = os.MkdirTemp("", "argo-host"); err != nil {
		return err
	}
	dir, file, err := config.GetPluginDirectoryAndFilename(name)
	if err != nil {
		return err
	}
	folder := filepath.Join(workdir, defaults.DefaultRolloutPluginFolder, dir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(program, filepath.Join(folder, file)); err != nil {
		return err
	}
	// Sockets go below here, too, so that it can be seen that none is left.
	if err := os.Mkdir(filepath.Join(workdir, "tmp"), 0o700); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", filepath.Join(workdir, "tmp")); err != nil {
		return err
	}
	if err := os.Chdir(workdir); err != nil {
		return err
	}
	item := fmt.Sprintf("- name: %s\n  location: file://%s\n", name, program)
	if filepath.Base(program) == filepath.Base(os.Args[0]) {
		item += "  args: [-serve]\n" // ourselves, for comparison
	}
	_, err = config.InitializeConfig(fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "argo-rollouts-config", Namespace: defaults.Namespace()},
		Data:       map[string]string{"trafficRouterPlugins": item},
	}), "argo-rollouts-config")
	return err
}

func must(err error) {
	if err != nil {
		os.RemoveAll(workdir)
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "argo-host: "+format+"\n", args...)
	os.Exit(1)
}
