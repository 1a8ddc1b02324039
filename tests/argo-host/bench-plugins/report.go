package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// report is everything that the printed text is made of.
type report struct {
	contestants []contestant
	results     results
	pace        pace
	names       names
	load        [2]string
	took        time.Duration
}

// goal holds the first plugin against one of the others.
type goal struct {
	words string
	row   string
	// share of the other's figure that ours may have.
	share   float64
	against []string
}

var goals = []goal{
	{"an unchanged call takes at most a quarter of the time of the one that reads by GET", weightUnchanged, 0.25, []string{"get"}},
	{"and no longer than the one with informers", weightUnchanged, 1, []string{"informers"}},
	{"a changed call takes no longer", weightChanged, 1, []string{"get", "informers"}},
	{"start-up takes at most half the time", startReady, 0.5, []string{"get", "informers"}},
	{"memory is at most a quarter", memoryCrowd, 0.25, []string{"get", "informers"}},
}

func printReport(r report) {
	if r.names.command != "" {
		fmt.Printf("`%s`, ", r.names.command)
	}
	fmt.Printf("%s, %d cores (%s), %s, Argo Rollouts %s, %s;\nload average before %s, after %s; took %s.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpu(), r.names.versions,
		version("github.com/argoproj/argo-rollouts"), runtime.Version(), r.load[0], r.load[1],
		r.took.Round(time.Second))
	fmt.Println()

	header := []string{"", "unit"}
	for _, contestant := range r.contestants {
		header = append(header, contestant.title)
	}
	for _, contestant := range r.contestants[1:] {
		header = append(header, r.contestants[0].title+" / "+contestant.title)
	}
	line(header)
	fmt.Println("|---|---" + strings.Repeat("|--:", len(header)-2) + "|")

	for _, row := range []string{weightUnchanged, hashUnchanged, verify, removeUnchanged, weightChanged, hashChanged} {
		r.row(row, "ms", median, func(s *series) []float64 { return s.Samples })
	}
	for _, row := range []string{weightUnchanged, hashUnchanged, weightChanged, hashChanged} {
		r.row(cpuOf(row), "ms", median, func(s *series) []float64 { return s.Samples })
	}
	for _, row := range []string{weightUnchanged, weightChanged} {
		r.row(row+": 99th percentile", "ms", percentile99, func(s *series) []float64 { return s.Samples })
	}
	for _, row := range []string{crowdUnchanged, crowdChanged} {
		r.row(row, "ms", median, func(s *series) []float64 { return s.Samples })
		r.row(row+": median call", "ms", median, func(s *series) []float64 { return s.Calls })
		r.row(row+": 99th percentile call", "ms", percentile99, func(s *series) []float64 { return s.Calls })
	}
	for _, row := range []string{startReady, startCalled} {
		r.row(row, "ms", median, func(s *series) []float64 { return s.Samples })
	}
	for _, row := range []string{memoryStart, own(memoryStart), memoryCrowd, own(memoryCrowd)} {
		r.row("memory "+row, "MiB", median, func(s *series) []float64 {
			scaled := slices.Clone(s.Samples)
			for i := range scaled {
				scaled[i] /= 1024
			}
			return scaled
		})
	}
	fmt.Println()
	r.printAgain()
	fmt.Println("| goal | found | |")
	fmt.Println("|---|---|---|")
	for _, goal := range goals {
		r.printGoal(goal)
	}
}

// row prints one line of the table. What is named after a colon is another look at the row before it.
func (r report) row(words, unit string, of func([]float64) float64, samples func(*series) []float64) {
	name, _, _ := strings.Cut(strings.TrimPrefix(words, "memory "), ":")
	cells := []string{words, unit}
	var found []float64
	for _, contestant := range r.contestants {
		value := of(samples(r.results.of(name, contestant.key)))
		found = append(found, value)
		cells = append(cells, figure(value))
	}
	for _, other := range found[1:] {
		cells = append(cells, fmt.Sprintf("%.2f", found[0]/other))
	}
	line(cells)
}

// printAgain says which calls failed and were made again.
func (r report) printAgain() {
	for _, contestant := range r.contestants {
		for _, row := range []string{weightChanged, hashChanged, crowdChanged} {
			if again := r.results.of(row, contestant.key).Again; again > 0 {
				fmt.Printf("%s: %s: %d calls failed and were made again.\n\n", contestant.title, row, again)
			}
		}
	}
}

func (r report) printGoal(goal goal) {
	ours := median(r.results.of(goal.row, r.contestants[0].key).Samples)
	met := true
	var found []string
	for _, contestant := range r.contestants {
		if slices.Contains(goal.against, contestant.key) {
			ratio := ours / median(r.results.of(goal.row, contestant.key).Samples)
			found = append(found, fmt.Sprintf("%.2f of %s", ratio, contestant.title))
			met = met && ratio <= goal.share
		}
	}
	verdict := "met"
	if !met {
		verdict = "**not met**"
	}
	line([]string{goal.words, strings.Join(found, ", "), verdict})
}

func line(cells []string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

// figure has three digits that count.
func figure(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

func median(samples []float64) float64 { return percentile(samples, 0.5) }

func percentile99(samples []float64) float64 { return percentile(samples, 0.99) }

func percentile(samples []float64, share float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[int(share*float64(len(sorted)-1))]
}

// version of a module that this program is built with.
func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}

func cpu() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(content)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
