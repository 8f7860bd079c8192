// golang LIB [--config TEXT] [--params TEXT] [--limit N]
//
// Loads a plugin library with the loader of the Go SDK, which is the C loader of the real host
// behind a Go interface: it checks the API version, the required symbols and the capabilities,
// reads the static information, and initialises the plugin, checking the configuration against
// the schema. The loader has no way to open a capture, so --params and --limit are accepted and
// not used, and no events are read.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/falcosecurity/plugin-sdk-go/pkg/loader"
)

type options struct {
	library, config string
}

var errUsage = errors.New("usage: golang LIB [--config TEXT] [--params TEXT] [--limit N]")

func parse(args []string) (o options, err error) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--config" || arg == "--params" || arg == "--limit":
			if i++; i == len(args) {
				return o, errUsage
			}
			if arg == "--config" {
				o.config = args[i]
			} else if arg == "--limit" {
				if _, err := strconv.ParseUint(args[i], 10, 64); err != nil {
					return o, fmt.Errorf("not a number: %s", args[i])
				}
			}
		case o.library == "" && !strings.HasPrefix(arg, "--"):
			o.library = arg
		default:
			return o, errUsage
		}
	}
	if o.library == "" {
		return o, errUsage
	}
	return o, nil
}

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
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	p, err := loader.NewValidPlugin(o.library)
	if err != nil {
		return err
	}
	defer p.Unload() // destroys the plugin too, where it is initialised
	if err := show(object{"info": describe(p)}); err != nil {
		return err
	}
	if err := p.Init(o.config); err != nil {
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
