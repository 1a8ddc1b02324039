//go:build tools

// Package tools pins the programs that the real stack builds from github.com/argoproj/argo-rollouts.
package tools

import (
	_ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
	_ "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts"
)
