//go:build tools

// Package tools pins the programs that the real stack builds from helm.sh/helm/v4.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
