// golang LIB
//
// Loads a plugin library with the loader of the Go SDK, which wraps the C loader of the real host.
// The loader checks the API version, the required symbols and the capabilities, reads the static
// information, and initialises the plugin with an empty configuration. It cannot open a source.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/falcosecurity/plugin-sdk-go/pkg/loader"
)

type object map[string]any

func show(line object) error {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	return out.Encode(line)
}

func describe(p *loader.Plugin) object {
	info := p.Info()
	schema := any(nil)
	if s := p.InitSchema(); s != nil {
		schema = s.Schema
	}
	fields := []string{}
	for _, field := range p.Fields() {
		fields = append(fields, field.Name)
	}
	broken := any(nil)
	if err := p.CapBrokenError(); err != nil {
		broken = err.Error()
	}
	return object{
		"name":                  info.Name,
		"version":               info.Version,
		"description":           info.Description,
		"contact":               info.Contact,
		"id":                    info.ID,
		"event_source":          info.EventSource,
		"required_api_version":  info.RequiredAPIVersion,
		"extract_event_sources": info.ExtractEventSources,
		"caps": object{
			"sourcing":     p.HasCapSourcing(),
			"extraction":   p.HasCapExtraction(),
			"broken":       p.HasCapBroken(),
			"broken_error": broken,
		},
		"fields":      fields,
		"init_schema": schema,
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: golang LIB")
	}
	p, err := loader.NewValidPlugin(os.Args[1])
	if err != nil {
		return err
	}
	defer p.Unload() // also destroys an initialised plugin
	if err := show(object{"info": describe(p)}); err != nil {
		return err
	}
	if err := p.Init(""); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := show(object{"init": "ok"}); err != nil {
		return err
	}
	if p.HasCapSourcing() {
		params, err := p.OpenParams()
		if err != nil {
			return fmt.Errorf("open params: %w", err)
		}
		list := []object{}
		for _, param := range params {
			list = append(list, object{
				"value": param.Value, "desc": param.Desc, "separator": param.Separator,
			})
		}
		if err := show(object{"open_params": list}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	err := run()
	if err == nil {
		err = show(object{"end": "unloaded"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "golang:", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}
