//go:build tools

// Package tools pins the programs that the real stack builds from github.com/distribution/distribution/v3.
package tools

import (
	_ "github.com/distribution/distribution/v3/cmd/registry"
)
