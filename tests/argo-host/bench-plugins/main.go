// Program bench-plugins measures three traffic-router plugins on one API server, in one run: this
// repository's, and Argo's own Istio reconciler as a plugin in Go (../builtin-plugin), once reading
// by GET and once from informers. It prints a Markdown table on stdout, and progress on stderr.
//
//	bench-plugins -serin PROGRAM -builtin PROGRAM -kubeconfig FILE
//	    [-quick] [-command TEXT] [-versions TEXT] [-samples FILE]
//
// Plugins are started and called through the packages that the controller uses. Each has namespaces
// of its own with equal objects. What is compared is measured in turns, the first one changing each
// time, so that a busy moment of the machine hits all of them. `cargo xtask bench plugin` starts it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	goPlugin "github.com/hashicorp/go-plugin"
)

// contestant is one plugin, and its columns.
type contestant struct {
	// key is in the names of its namespaces and the label of its objects.
	key     string
	title   string
	program string
	args    []string
}

// pace is how much is measured.
type pace struct {
	// starts is how often each plugin is started.
	starts int
	// rounds of single calls; in each, this many calls of each kind.
	rounds, changed, unchanged int
	// crowds is how often all Rollouts reconcile at once, changed and unchanged.
	crowds int
}

// names are what the caller calls things.
type names struct {
	// command and versions stand above the table.
	command, versions string
	// samples is a file.
	samples string
}

var (
	full  = pace{starts: 15, rounds: 25, changed: 10, unchanged: 40, crowds: 12}
	quick = pace{starts: 4, rounds: 4, changed: 5, unchanged: 20, crowds: 2}
)

func main() {
	serin := flag.String("serin", "", "this repository's plugin")
	builtin := flag.String("builtin", "", "Argo's reconciler as a plugin")
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "the API server")
	short := flag.Bool("quick", false, "a short form")
	command := flag.String("command", "", "the command to name above the table")
	versions := flag.String("versions", "", "the versions to name; the API server's own if empty")
	samples := flag.String("samples", "", "also write every sample into this file, as JSON")
	flag.Parse()
	if *serin == "" || *builtin == "" || *kubeconfig == "" {
		fail(fmt.Errorf("-serin, -builtin and -kubeconfig are needed"))
	}
	chosen := full
	if *short {
		chosen = quick
	}
	contestants := []contestant{
		{key: "serin", title: "serin", program: *serin},
		{key: "get", title: "Go, GET", program: *builtin},
		{key: "informers", title: "Go, informers", program: *builtin,
			args: []string{"-informers", "-selector", benchLabel + "=informers"}},
	}

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- run(contestants, chosen, *kubeconfig, names{*command, *versions, *samples}) }()
	var err error
	select {
	case err = <-done:
	case <-interrupted:
		err = fmt.Errorf("interrupted")
	}
	goPlugin.CleanupClients()
	if err != nil {
		fail(err)
	}
}

// run measures everything and prints the table.
func run(contestants []contestant, pace pace, kubeconfig string, names names) error {
	began := time.Now()
	// Plugins find the API server as the controller's do.
	if err := os.Setenv("KUBECONFIG", kubeconfig); err != nil {
		return err
	}
	before := loadAverage()
	cluster, err := connect(kubeconfig)
	if err != nil {
		return err
	}
	say("making the objects: %d plugins, %d Rollouts in %d namespaces each", len(contestants), rollouts, namespaces)
	if err := cluster.prepare(contestants); err != nil {
		return err
	}

	results := results{}
	if err := measureStarts(results, contestants, pace); err != nil {
		return err
	}
	running := make([]*plugin, 0, len(contestants))
	for _, contestant := range contestants {
		started, err := start(contestant)
		if err != nil {
			return fmt.Errorf("%s: %w", contestant.title, err)
		}
		running = append(running, started)
	}
	if err := measureCalls(results, cluster, running, pace); err != nil {
		return err
	}
	if err := measureCrowds(results, cluster, running, pace); err != nil {
		return err
	}
	for _, plugin := range running {
		plugin.client.Kill()
	}
	if names.samples != "" {
		content, err := json.Marshal(results)
		if err != nil {
			return err
		}
		if err := os.WriteFile(names.samples, content, 0o644); err != nil {
			return err
		}
	}
	if names.versions == "" {
		names.versions = "API server " + cluster.version
	}
	printReport(report{
		contestants: contestants, results: results, pace: pace, names: names,
		load: [2]string{before, loadAverage()}, took: time.Since(began),
	})
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "    "+format+"\n", args...) }

func fail(err error) {
	fmt.Fprintf(os.Stderr, "bench-plugins: %v\n", err)
	os.Exit(1)
}
