#!/bin/sh
# Istio's agent treats a Wasm image without a tag otherwise than the same image with the tag `latest`, though both are one
# image in the registry. `WasmPlugin.imagePullPolicy` is documented to mirror Kubernetes, where an image without a tag is
# `latest`, and so pulled each time. Here only a URL that ends in `:latest` is: without a tag the agent keeps the image that it
# has, while a proxy that starts later gets the newer one.
#
# Prints how often the registry was asked for the manifest; fails if that has changed. Needs Go 1.26 and its module proxy.
set -eu

istio=v0.0.0-20260306174214-6991a379e1fc # 1.29.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"

	"istio.io/istio/pkg/util/sets"
	"istio.io/istio/pkg/wasm"
)

func main() {
	var asked atomic.Int32
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			asked.Add(1)
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	push := func(version byte) {
		module := []byte{0, 'a', 's', 'm', 1, 0, 0, 0, 0, 2, 1, version}
		image, err := crane.Image(map[string][]byte{"plugin.wasm": module})
		check(err)
		check(crane.Push(image, host+"/filter:latest", crane.Insecure))
	}
	status := 0
	for _, one := range []struct {
		tag      string
		expected int32
	}{{":latest", 2}, {"", 1}} {
		folder, err := os.MkdirTemp(".", "cache")
		check(err)
		options := wasm.Options{InsecureRegistries: sets.New("*"), PurgeInterval: time.Hour, ModuleExpiry: time.Hour, HTTPRequestTimeout: 10 * time.Second, HTTPRequestMaxRetries: 1}
		cache := wasm.NewLocalFileCache(folder, options)
		paths := map[string]bool{}
		asked.Store(0)
		for version := byte(1); version <= 2; version++ {
			push(version)
			path, err := cache.Get("oci://"+host+"/filter"+one.tag, wasm.GetOptions{
				ResourceName: "filter", ResourceVersion: fmt.Sprint(version), RequestTimeout: 10 * time.Second,
			})
			check(err)
			paths[path] = true
		}
		cache.Cleanup()
		fmt.Printf("oci://…/filter%s: asked %d times in 2 edits, %d modules\n", one.tag, asked.Load(), len(paths))
		if asked.Load() != one.expected || len(paths) != int(one.expected) {
			fmt.Fprintf(os.Stderr, "changed: expected %d\n", one.expected)
			status = 1
		}
	}
	os.Exit(status)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
export GOTOOLCHAIN=local GOFLAGS=-mod=mod
go mod init finding >/dev/null 2>&1
go get "istio.io/istio@$istio" >/dev/null 2>&1
go build -o finding .
echo "Istio 1.29.1 ($istio)"
./finding
