// Argo CD's application controller as it is released, on the cluster of a kubeconfig. What it needs beside itself is here:
// a cache that speaks Redis, and a repository server that reads manifests from a folder in place of Git.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/alicebob/miniredis/v2"
	"github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"google.golang.org/grpc"
)

func main() {
	git := flag.String("git", "", "folder with a folder of manifests for each Application")
	flag.Parse()
	if err := run(*git, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run ends with the controller. Words behind the flags are the controller's own.
func run(git string, words []string) error {
	cache, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("starting the cache: %w", err)
	}
	defer cache.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening as repository server: %w", err)
	}
	server := grpc.NewServer()
	apiclient.RegisterRepoServerServiceServer(server, &repository{folder: git})
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()

	controller := commands.NewCommand()
	controller.SetArgs(append([]string{
		"--repo-server", listener.Addr().String(),
		"--repo-server-plaintext",
		"--redis", cache.Addr(),
	}, words...))
	go func() { failed <- controller.Execute() }()
	return <-failed
}
