package main

import (
	"fmt"
	"os"
	"strings"
)

const introduction = `# Where Serin differs from Argo's built-in Istio support, on purpose

A Rollout may move from ` + "`trafficRouting.istio`" + ` to ` + "`trafficRouting.plugins[\"serin/istio\"]`" + ` with the same fields, and gets the
same weights, subsets and errors. A test calls both with the same objects and the same calls and compares what they leave
(` + "`cargo xtask differential`" + `); what it lets pass is this list, and three answers that depend on more than
the call: a canary is refused whose step no request can reach; the weights of a promotion are held while the stable subset
selects another version; on the way back objects are brought back in which the built-in can't set a weight. The list is from
` + "`tests/argo-host/differential/differences.go`" + `, which says for each entry what has to come out instead.

| difference | Serin | why |
|---|---|---|
`

// document is docs/differences.md.
func document() string {
	var page strings.Builder
	page.WriteString(introduction)
	for _, one := range allDifferences {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", one.id, one.title, one.reason)
	}
	return page.String()
}

// checkDocument is an error where the file is not what the list says.
func checkDocument(path string) error {
	found, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(found) != document() {
		return fmt.Errorf("%s is not what the list in differences.go says: write it with -write-doc", path)
	}
	return nil
}
