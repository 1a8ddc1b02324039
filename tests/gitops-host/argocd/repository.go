package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/argo"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// repository answers as Argo CD's repository server does for an Application with a folder of plain manifests. A revision is
// a hash of what the folder holds.
type repository struct {
	apiclient.UnimplementedRepoServerServiceServer
	folder string
}

func (r *repository) TestRepository(context.Context, *apiclient.TestRepositoryRequest) (*apiclient.TestRepositoryResponse, error) {
	return &apiclient.TestRepositoryResponse{VerifiedRepository: true}, nil
}

func (r *repository) ResolveRevision(_ context.Context, request *apiclient.ResolveRevisionRequest) (*apiclient.ResolveRevisionResponse, error) {
	source := request.App.Spec.GetSource()
	_, revision, err := r.read(source.Path)
	return &apiclient.ResolveRevisionResponse{Revision: revision, AmbiguousRevision: request.AmbiguousRevision}, err
}

func (r *repository) GenerateManifest(_ context.Context, request *apiclient.ManifestRequest) (*apiclient.ManifestResponse, error) {
	objects, revision, err := r.read(request.ApplicationSource.Path)
	if err != nil {
		return nil, err
	}
	tracking := argo.NewResourceTracking()
	answer := &apiclient.ManifestResponse{Revision: revision, SourceType: string(v1alpha1.ApplicationSourceTypeDirectory)}
	for _, object := range objects {
		err := tracking.SetAppInstance(object, request.AppLabelKey, request.AppName, request.Namespace,
			v1alpha1.TrackingMethod(request.TrackingMethod), request.InstallationID)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		answer.Manifests = append(answer.Manifests, string(text))
	}
	return answer, nil
}

// read returns the objects of an Application's folder, and their revision.
func (r *repository) read(name string) ([]*unstructured.Unstructured, string, error) {
	paths, err := filepath.Glob(filepath.Join(r.folder, name, "*.yaml"))
	if err != nil {
		return nil, "", err
	}
	if len(paths) == 0 {
		return nil, "", fmt.Errorf("no manifests in folder %q", name)
	}
	var objects []*unstructured.Unstructured
	hash := sha256.New()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, "", err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(io.TeeReader(file, hash), 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if err == io.EOF {
				break
			}
			if err != nil {
				file.Close()
				return nil, "", fmt.Errorf("%s: %w", path, err)
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
		file.Close()
	}
	return objects, fmt.Sprintf("%x", hash.Sum(nil))[:40], nil
}
