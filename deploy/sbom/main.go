// Sbom prints the software bill of materials of a Go program, as CycloneDX 1.6 in JSON: what its linker has recorded in it,
// that is exactly the modules that it has code of.
//
//	go run ./deploy/sbom partnersync > partnersync.cdx.json
//
// The same program gives the same bill. Licences are not in it: a program does not know them.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/google/uuid"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sbom PROGRAM")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// bill is the part of CycloneDX 1.6 that is needed: https://cyclonedx.org/docs/1.6/json/
type bill struct {
	Format       string     `json:"bomFormat"`
	SpecVersion  string     `json:"specVersion"`
	SerialNumber string     `json:"serialNumber"`
	Version      int        `json:"version"`
	Metadata     metadata   `json:"metadata"`
	Components   []part     `json:"components"`
	Dependencies []relation `json:"dependencies"`
}

type metadata struct {
	Component part `json:"component"`
}

// part is a CycloneDX component.
type part struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type relation struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// run writes the bill of the program at the path.
func run(path string, out io.Writer) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading what %s was built from: %w; name a program that Go built with modules", path, err)
	}
	b, err := billOf(info)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(b); err != nil {
		return fmt.Errorf("writing the bill of %s: %w", path, err)
	}
	return nil
}

func billOf(info *debug.BuildInfo) (bill, error) {
	program, err := partOf("application", info.Main)
	if err != nil {
		return bill{}, err
	}
	for _, s := range info.Settings {
		program.Properties = append(program.Properties, property{"go:build:" + s.Key, s.Value})
	}
	// "go1.26.8 X:…" with experiments
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	library, err := partOf("library", debug.Module{Path: "std", Version: goVersion})
	if err != nil {
		return bill{}, err
	}
	b := bill{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{program}, Components: []part{library},
		SerialNumber: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(info.String())).String(),
	}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		p, err := partOf("library", *module)
		if err != nil {
			return bill{}, err
		}
		b.Components = append(b.Components, p)
	}
	all := relation{Ref: program.Ref}
	for _, p := range b.Components {
		all.DependsOn = append(all.DependsOn, p.Ref)
	}
	b.Dependencies = []relation{all}
	return b, nil
}

// partOf returns a module as a component. Its hash is the module's of go.sum, which is the SHA-256 of a list of its files.
func partOf(kind string, m debug.Module) (part, error) {
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	p := part{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum == "" {
		return p, nil
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || !strings.HasPrefix(m.Sum, "h1:") {
		return part{}, fmt.Errorf("reading the checksum of %s: %q is none of Go's (h1:…)", m.Path, m.Sum)
	}
	p.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
	return p, nil
}
