package main

import (
	"archive/tar"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// artifact pushes a module as the last of so many layers, under the media type that Istio's agent knows
// (istio 1.29.1 pkg/wasm/imagefetcher.go, extractOCIArtifactImage).
func artifact(arguments []string) error {
	flags := flag.NewFlagSet("artifact", flag.ExitOnError)
	count := flags.Int("layers", 1, "")
	_ = flags.Parse(arguments)
	content, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(flags.Arg(1), name.Insecure)
	if err != nil {
		return err
	}
	var layers []v1.Layer
	for range *count - 1 {
		layers = append(layers, static.NewLayer([]byte("{}"), "application/vnd.module.wasm.config.v1+json"))
	}
	layers = append(layers, static.NewLayer(content, "application/vnd.module.wasm.content.layer.v1+wasm"))
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		return err
	}
	return remote.Write(reference, image)
}

// unpack pulls an image as a node of a kind does.
func unpack(arguments []string) error {
	flags := flag.NewFlagSet("unpack", flag.ExitOnError)
	kind := flags.String("platform", "linux/amd64", "")
	_ = flags.Parse(arguments)
	platform, err := v1.ParsePlatform(*kind)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(flags.Arg(0), name.Insecure)
	if err != nil {
		return err
	}
	image, err := remote.Image(reference, remote.WithPlatform(*platform))
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s %s %s\n", config.OS, config.Architecture, config.Config.User, strings.Join(config.Config.Entrypoint, " "))
	content := mutate.Extract(image)
	defer content.Close()
	return extract(tar.NewReader(content), flags.Arg(1))
}

func extract(content *tar.Reader, folder string) error {
	for {
		header, err := content.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		path := filepath.Join(folder, filepath.Clean("/"+header.Name))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, header.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
}
