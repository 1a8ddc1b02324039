package main

import (
	"fmt"
	"os"
	"strings"
)

// table is one of the page's, between two marks.
type table struct {
	name string
	rows string
}

const heading = "| setting | Git unchanged | you change a timeout in `spec.http` | you change a subset's label |\n|---|---|---|---|\n"

func (t table) marks() (string, string) {
	return "<!-- " + t.name + ": from `cargo xtask e2e --long gitops` -->\n", "<!-- end of " + t.name + " -->\n"
}

// report prints the tables, and compares them with the page's or writes them into it.
func report(tables []table, with programs) error {
	found, err := os.ReadFile(with.doc)
	if err != nil {
		return err
	}
	page := string(found)
	for _, one := range tables {
		begin, end := one.marks()
		fmt.Printf("%s%s%s\n", begin, one.rows, end)
		before, rest, has := strings.Cut(page, begin)
		if !has {
			return fmt.Errorf("%s lacks the line %q", with.doc, strings.TrimSpace(begin))
		}
		said, after, has := strings.Cut(rest, end)
		if !has {
			return fmt.Errorf("%s lacks the line %q", with.doc, strings.TrimSpace(end))
		}
		if said != one.rows && !with.writes {
			return fmt.Errorf("%s says of %s other than what was seen:\n%s\nlook at what has changed, then write it with -write-doc", with.doc, one.name, difference(said, one.rows))
		}
		page = before + begin + one.rows + end + after
	}
	if with.writes {
		return os.WriteFile(with.doc, []byte(page), 0o644)
	}
	return nil
}

// difference shows the lines that differ.
func difference(said, seen string) string {
	var lines []string
	old := strings.Split(said, "\n")
	for index, line := range strings.Split(seen, "\n") {
		if index >= len(old) || old[index] != line {
			if index < len(old) {
				lines = append(lines, "said: "+old[index])
			}
			lines = append(lines, "seen: "+line)
		}
	}
	return strings.Join(lines, "\n")
}
