// oci
//
// Reads an OCI image layout with code that this project did not write: the JSON schemas of the OCI image specification,
// and the library of the client crane. It pushes the layout to a registry in this process, as `crane push` does, and
// pulls it again.
//
//	oci LAYOUT FOLDER
//
// writes the pulled layers into FOLDER, and prints one line of JSON: the digest of the pushed artifact, and its
// manifests with their configuration, their layers and their referrers, all as pulled.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/image-spec/schema"
)

type layer struct {
	MediaType types.MediaType `json:"media_type"`
	Title     string          `json:"title"`
	File      string          `json:"file"`
}

type manifest struct {
	Platform  string          `json:"platform"`
	Digest    string          `json:"digest"`
	MediaType types.MediaType `json:"config_media_type"`
	Config    string          `json:"config"`
	Layers    []layer         `json:"layers"`
	Referrers []string        `json:"referrers"`
}

type answer struct {
	Tag       string     `json:"tag"`
	Digest    string     `json:"digest"`
	IsIndex   bool       `json:"is_index"`
	Validated int        `json:"validated"`
	Manifests []manifest `json:"manifests"`
}

func main() {
	found, err := run(os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder, output string) (*answer, error) {
	found := &answer{}
	if err := validate(folder, found); err != nil {
		return nil, err
	}
	path, err := layout.FromPath(folder)
	if err != nil {
		return nil, err
	}
	top, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	entries, err := top.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(entries.Manifests) != 1 {
		return nil, fmt.Errorf("the layout has %d artifacts: crane pushes only a layout with one", len(entries.Manifests))
	}
	root := entries.Manifests[0]
	found.Tag = root.Annotations["org.opencontainers.image.ref.name"]

	quiet := registry.Logger(log.New(io.Discard, "", 0))
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), quiet))
	defer server.Close()
	repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/plugins/pushed")
	if err != nil {
		return nil, err
	}
	reference := repository.Tag(found.Tag)
	if found.IsIndex = root.MediaType.IsIndex(); found.IsIndex {
		index, err := top.ImageIndex(root.Digest)
		if err != nil {
			return nil, err
		}
		if err := remote.WriteIndex(reference, index); err != nil {
			return nil, err
		}
	} else {
		image, err := top.Image(root.Digest)
		if err != nil {
			return nil, err
		}
		if err := remote.Write(reference, image); err != nil {
			return nil, err
		}
	}
	return found, pull(reference, found, output)
}

// Checks the JSON documents of a layout with the schemas of the specification, and the digests and sizes of all blobs.
func validate(folder string, found *answer) error {
	check := func(validator schema.Validator, data []byte) error {
		found.Validated++
		return validator.Validate(bytes.NewReader(data))
	}
	header, err := os.ReadFile(filepath.Join(folder, "oci-layout"))
	if err != nil {
		return err
	}
	if err := check(schema.ValidatorMediaTypeLayoutHeader, header); err != nil {
		return fmt.Errorf("oci-layout: %w", err)
	}
	index, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	var walk func(types.MediaType, []byte) error
	walk = func(mediaType types.MediaType, data []byte) error {
		var document struct {
			Config    *v1.Descriptor  `json:"config"`
			Layers    []v1.Descriptor `json:"layers"`
			Manifests []v1.Descriptor `json:"manifests"`
		}
		if !mediaType.IsIndex() && !mediaType.IsImage() {
			return nil
		}
		if err := check(schema.Validator(mediaType), data); err != nil {
			return err
		}
		if err := json.Unmarshal(data, &document); err != nil {
			return err
		}
		children := append(document.Manifests, document.Layers...)
		if document.Config != nil {
			children = append(children, *document.Config)
		}
		for _, child := range children {
			content, err := os.ReadFile(filepath.Join(folder, "blobs", child.Digest.Algorithm, child.Digest.Hex))
			if err != nil {
				return err
			}
			digest, size, err := v1.SHA256(bytes.NewReader(content))
			if err != nil || digest != child.Digest || size != child.Size {
				return fmt.Errorf("the descriptor of %s does not fit the blob: %s, %d bytes", child.Digest, digest, size)
			}
			seen[child.Digest.Hex] = true
			if err := walk(child.MediaType, content); err != nil {
				return fmt.Errorf("%s: %w", child.Digest, err)
			}
		}
		return nil
	}
	if err := walk(types.OCIImageIndex, index); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	blobs, err := os.ReadDir(filepath.Join(folder, "blobs", "sha256"))
	if err != nil {
		return err
	}
	for _, blob := range blobs {
		if !seen[blob.Name()] {
			return fmt.Errorf("nothing refers to the blob %s", blob.Name())
		}
	}
	return nil
}

func pull(reference name.Tag, found *answer, output string) error {
	descriptor, err := remote.Get(reference)
	if err != nil {
		return err
	}
	found.Digest = descriptor.Digest.String()
	children := []v1.Descriptor{descriptor.Descriptor}
	if found.IsIndex {
		index, err := descriptor.ImageIndex()
		if err != nil {
			return err
		}
		entries, err := index.IndexManifest()
		if err != nil {
			return err
		}
		children = entries.Manifests
	}
	for _, child := range children {
		pulled, err := pullManifest(reference, child, output)
		if err != nil {
			return err
		}
		found.Manifests = append(found.Manifests, *pulled)
	}
	return nil
}

func pullManifest(reference name.Tag, child v1.Descriptor, output string) (*manifest, error) {
	digest := reference.Context().Digest(child.Digest.String())
	image, err := remote.Image(digest)
	if err != nil {
		return nil, err
	}
	document, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	pulled := &manifest{Digest: child.Digest.String(), MediaType: document.Config.MediaType, Config: string(config)}
	if child.Platform != nil {
		pulled.Platform = child.Platform.String()
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for index, content := range layers {
		described := document.Layers[index]
		file := filepath.Join(output, described.Digest.Hex)
		reader, err := content.Compressed()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return nil, err
		}
		title := described.Annotations["org.opencontainers.image.title"]
		pulled.Layers = append(pulled.Layers, layer{described.MediaType, title, file})
	}
	referrers, err := remote.Referrers(digest)
	if err != nil {
		return nil, err
	}
	entries, err := referrers.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries.Manifests {
		pulled.Referrers = append(pulled.Referrers, entry.Digest.String())
	}
	return pulled, nil
}
