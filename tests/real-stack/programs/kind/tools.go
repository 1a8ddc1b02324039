//go:build tools

// Package tools pins the programs that the real stack builds from sigs.k8s.io/kind.
package tools

import (
	_ "sigs.k8s.io/kind"
)
