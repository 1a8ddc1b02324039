// Program differential holds the plugin against Argo's own Istio reconciler: the same objects, the same Rollout but for
// where its block stands, the same calls; what they leave has to be the same but for the list in differences.go.
//
//	differential -plugin PROGRAM [-kubeconfig FILE] [-sequences N] [-seed S] [-from K]
//	differential -write-doc FILE
//
// It begins with the table of cases (table.go), then come generated sequences (generate.go). A sequence depends on seed
// and index alone; one that fails can be run by itself: -seed S -from K -sequences 1. One that fails is run a second time with
// more patience, and counts as failed if it fails again.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sirupsen/logrus"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

type settings struct {
	plugin, kubeconfig, doc string
	sequences, from         int
	seed                    uint64
	workers, show           int
	only                    string
}

func main() {
	var s settings
	var writeDoc string
	flag.StringVar(&s.plugin, "plugin", "", "the plugin's program")
	flag.StringVar(&s.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "the API server")
	flag.IntVar(&s.sequences, "sequences", 300, "how many sequences are generated")
	flag.Uint64Var(&s.seed, "seed", 1, "what they are generated from")
	flag.IntVar(&s.from, "from", 0, "index of the first one; above 0 the table of cases is left out")
	flag.IntVar(&s.workers, "workers", 4, "how many sequences run at once")
	flag.IntVar(&s.show, "show", 3, "how many failures are shown in full")
	flag.StringVar(&s.only, "only", "", "run only the cases of the table whose name contains this")
	flag.StringVar(&s.doc, "doc", "", "docs/differences.md, to be compared with the list")
	flag.StringVar(&writeDoc, "write-doc", "", "write docs/differences.md here, and end")
	flag.Parse()

	logrus.SetOutput(io.Discard)
	klog.SetOutput(io.Discard)
	hclog.DefaultOutput = io.Discard
	err := error(nil)
	if writeDoc != "" {
		err = os.WriteFile(writeDoc, []byte(document()), 0o644)
	} else {
		err = run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
}

// job is a sequence to run; table cases have no index.
type job struct {
	sequence *sequence
	rollout  string
	table    bool
}

func run(s settings) error {
	if s.doc != "" {
		if err := checkDocument(s.doc); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return err
	}
	// The plugin finds the cluster as it does below the controller.
	if err := os.Setenv("KUBECONFIG", s.kubeconfig); err != nil {
		return err
	}
	client, err := connect(config)
	if err != nil {
		return err
	}
	if err := prepareWasmPlugin(client); err != nil {
		return err
	}
	stop, err := startPlugin(s.plugin)
	if err != nil {
		return err
	}
	defer stop()

	began := time.Now()
	jobs := make(chan job)
	var lock sync.Mutex
	var workers sync.WaitGroup
	total := tally{used: map[string]int{}, table: map[string]int{}, kinds: map[string]int{}}
	var broken error
	run := fmt.Sprintf("d%04x", rand.Uint32()&0xffff)
	for w := range s.workers {
		r := &runner{
			pods: map[string]int32{},
		}
		r.builtin = &side{client: client, namespace: fmt.Sprintf("%s-builtin-%d", run, w), inMemory: true}
		r.serin = &side{client: client, namespace: fmt.Sprintf("%s-serin-%d", run, w)}
		if err := r.serin.prepare(); err != nil {
			return err
		}
		workers.Add(1)
		go func() {
			defer workers.Done()
			for one := range jobs {
				err := r.twice(one)
				lock.Lock()
				broken = total.add(r, one, err, s.show, broken)
				if done := total.sequences; done%250 == 0 {
					fmt.Printf("    %d sequences, %d calls, %d failed (%.0f s)\n", done, total.calls, total.failed, time.Since(began).Seconds())
				}
				lock.Unlock()
			}
		}()
	}
	feed(s, jobs)
	close(jobs)
	workers.Wait()
	if broken != nil {
		return broken
	}
	total.print(time.Since(began))
	return total.verdict(s)
}

func feed(s settings, jobs chan<- job) {
	if s.from == 0 {
		for i, one := range table() {
			if strings.Contains(one.Name, s.only) {
				jobs <- job{one, fmt.Sprintf("case-%d", i), true}
			}
		}
	}
	if s.only != "" {
		return
	}
	for i := s.from; i < s.from+s.sequences; i++ {
		jobs <- job{generate(s.seed, i), rolloutName(i), false}
	}
}
