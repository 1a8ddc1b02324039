package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// tally is what all sequences came to.
type tally struct {
	sequences, calls, repeated, failed, cases int
	// again counts sequences that were right the second time.
	again int
	// used and table count how often each difference was needed: everywhere, and by the table's cases.
	used, table map[string]int
	// kinds counts failures that look the same.
	kinds map[string]int
}

// varies is what differs between failures of one kind.
var varies = regexp.MustCompile(`d[0-9a-f]{4}-[a-z0-9/-]*|"[^"]*"|[0-9]+`)

func (t *tally) add(r *runner, one job, err error, show int, broken error) error {
	t.sequences++
	t.calls += r.calls
	t.repeated += r.repeated
	if one.table {
		t.cases++
	}
	for id, count := range r.used {
		t.used[id] += count
		if one.table {
			t.table[id] += count
		}
	}
	var failed *failure
	switch {
	case err == nil && r.again != "":
		t.again++
		fmt.Printf("    run twice, right the second time: %s: %s\n", one.sequence.Name, strings.SplitN(r.again, "\n", 2)[0])
	case err == nil:
	case errors.As(err, &failed):
		t.failed++
		kind := failed.sequence.Calls[failed.index].Method + ": " + varies.ReplaceAllString(strings.SplitN(failed.what[0], "\n", 2)[0], "…")
		t.kinds[kind]++
		if t.kinds[kind] == 1 && len(t.kinds) <= show {
			fmt.Printf("\nFAILED %s\n\n", failed)
		} else {
			fmt.Printf("FAILED %s, call %d: %s\n", one.sequence.Name, failed.index+1, strings.SplitN(failed.what[0], "\n", 2)[0])
		}
	case broken == nil:
		return fmt.Errorf("%s: %w", one.sequence.Name, err)
	}
	return broken
}

func (t *tally) print(took time.Duration) {
	fmt.Printf("%d sequences (%d cases of the table), %d calls each of the built-in and of the plugin, %d repeated, %d sequences right the second time, %.1f s\n",
		t.sequences, t.cases, t.calls, t.repeated, t.again, took.Seconds())
	fmt.Println("differences on purpose (docs/differences.md), and how often each was needed:")
	for _, one := range allDifferences {
		fmt.Printf("  %-24s %7d  of them in the table %4d\n", one.id, t.used[one.id], t.table[one.id])
	}
	if t.failed > 0 {
		fmt.Println("failures that look the same:")
		for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
			fmt.Printf("  %5d  %s\n", t.kinds[kind], strings.ReplaceAll(kind, "\n", " "))
		}
	}
}

// verdict is an error if a sequence has failed, or if the table doesn't show a difference that is on the list.
func (t *tally) verdict(s settings) error {
	if t.failed > 0 {
		return fmt.Errorf("%d of %d %w", t.failed, t.sequences, errSequence)
	}
	if s.from > 0 || s.only != "" {
		return nil
	}
	for _, one := range allDifferences {
		if t.table[one.id] == 0 {
			return fmt.Errorf("the difference %s is on the list, and no case of the table needs it", one.id)
		}
	}
	return nil
}
