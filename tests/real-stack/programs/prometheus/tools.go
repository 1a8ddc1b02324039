//go:build tools

// Package tools pins the programs that the real stack builds from github.com/prometheus/prometheus.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
