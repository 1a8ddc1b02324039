#!/bin/sh
# Istio 1.29.1's agent and registries with basic authentication: it pulls a module only if the realm is an http(s) address. With a
# word as the realm, which RFC 7617 allows and registries have by default, the pull fails, also with the right pull secret.
#
# Uses the module istio.io/istio (pkg/wasm) and nothing of Serin. Needs Go.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > go.mod <<'MOD'
module finding

go 1.26.8

require istio.io/istio v0.0.0-20260306174214-6991a379e1fc
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	"istio.io/istio/pkg/wasm"
)

func pull(realm string) string {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, ok := r.BasicAuth(); !ok || name != "robot" || password != "not-a-secret" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	secret := fmt.Sprintf(`{"auths": {%q: {"username": "robot", "password": "not-a-secret"}}}`, host)
	fetcher := wasm.NewImageFetcher(context.Background(), wasm.ImageFetcherOption{PullSecret: []byte(secret)})
	_, _, err := fetcher.PrepareFetch(host + "/module:1")
	return err.Error()
}

func main() {
	fmt.Println("istio.io/istio v0.0.0-20260306174214-6991a379e1fc (1.29.1)")
	word, address := pull("Registry"), pull("https://registry.example.com/")
	fmt.Println("realm \"Registry\":", word)
	fmt.Println("realm an address:", address)
	// Behind the login the registry is empty: it knows no such image.
	if !strings.Contains(word, "rejected unsafe bearer realm") || !strings.Contains(address, "NAME_UNKNOWN") {
		fmt.Println("CHANGED")
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . 2>/dev/null
