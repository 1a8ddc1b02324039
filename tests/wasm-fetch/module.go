package main

import (
	"flag"
	"os"
	"time"

	"istio.io/istio/pkg/wasm"
)

// module gets a module as the agent does when a proxy asks for it: with a cache that is empty.
func module(arguments []string) error {
	flags := flag.NewFlagSet("module", flag.ExitOnError)
	sum := flags.String("sha256", "", "")
	secret := flags.String("pull-secret", "", "")
	_ = flags.Parse(arguments)
	options := wasm.GetOptions{
		Checksum:       *sum,
		ResourceName:   "serin",
		RequestTimeout: 30 * time.Second,
		PullPolicy:     wasm.IfNotPresent,
	}
	if *secret != "" {
		content, err := os.ReadFile(*secret)
		if err != nil {
			return err
		}
		options.PullSecret = content
	}
	folder, err := os.MkdirTemp("", "wasm-fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	cache := wasm.NewLocalFileCache(folder, wasm.Options{
		PurgeInterval:         time.Hour,
		ModuleExpiry:          time.Hour,
		HTTPRequestTimeout:    30 * time.Second,
		HTTPRequestMaxRetries: 1,
	})
	defer cache.Cleanup()
	path, err := cache.Get(flags.Arg(0), options)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(flags.Arg(1), content, 0o644)
}
