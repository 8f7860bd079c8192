// The benchmark's plugin of the Go SDK. Open params: `pull WORKLOAD`, `push128 WORKLOAD` and `push0 WORKLOAD`; the
// number is the size of the channel. The configuration `worker` turns on the SDK's worker for extraction.
package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/extractor"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/plugins/source"
	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk/symbols/extract"
	"github.com/valyala/fastjson"
)

type plugin struct {
	plugins.BasePlugin
	parser fastjson.Parser
	parsed *fastjson.Value
	number uint64
}

func (p *plugin) Info() *plugins.Info {
	return &plugins.Info{
		ID:          999,
		Name:        "bench-golang",
		Description: "The workloads of the benchmark, made by the Go SDK",
		EventSource: "bench",
		Version:     "0.0.0",
	}
}

func (p *plugin) Init(config string) error {
	extract.SetAsync(config == "worker")
	return nil
}

func (p *plugin) Open(params string) (source.Instance, error) {
	mode, name, _ := strings.Cut(params, " ")
	next, size, err := newWorkload(name)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = uint32(sdk.DefaultEvtSize)
	}
	switch mode {
	case "pull":
		pull := func(_ context.Context, event sdk.EventWriter) error {
			_, err := event.Writer().Write(next())
			return err
		}
		if name == "empty" {
			pull = func(context.Context, sdk.EventWriter) error { return nil }
		}
		return source.NewPullInstance(pull, source.WithInstanceEventSize(size))
	case "push128":
		return push(next, 128, size)
	case "push0":
		return push(next, 0, size)
	}
	return nil, fmt.Errorf("unknown mode: %s", mode)
}

func push(next workload, capacity int, size uint32) (source.Instance, error) {
	events := make(chan source.PushEvent, capacity)
	var closed atomic.Bool
	go func() {
		for !closed.Load() {
			events <- source.PushEvent{Data: next()}
		}
		close(events)
	}()
	// The producer checks a flag, because a select would cost more. It may block in its last send, so shutdown drains the
	// channel.
	shutdown := func() {
		closed.Store(true)
		for range events {
		}
	}
	return source.NewPushInstance(events, source.WithInstanceEventSize(size), source.WithInstanceClose(shutdown))
}

func init() {
	plugins.SetFactory(func() plugins.Plugin {
		p := &plugin{}
		source.Register(p)
		extractor.Register(p)
		return p
	})
}

func main() {}
