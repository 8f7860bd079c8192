// The benchmark's plugin of the Go SDK. Open params: `pull WORKLOAD`, `push128 WORKLOAD` and `push0 WORKLOAD`; the
// number is the size of the channel. `push128-2 WORKLOAD` sends from two goroutines. The configuration `worker` turns on the SDK's worker for extraction.
package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
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
	mode, number, found := strings.Cut(mode, "-")
	if !found {
		number = "1"
	}
	threads, err := strconv.Atoi(number)
	if err != nil || threads < 1 {
		return nil, fmt.Errorf("the number of goroutines must be 1 or more, got %q", number)
	}
	next, size, err := newWorkload(name)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = uint32(sdk.DefaultEvtSize)
	}
	producers := []workload{next}
	for len(producers) < threads {
		next, _, err := newWorkload(name)
		if err != nil {
			return nil, err
		}
		producers = append(producers, next)
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
		return push(producers, 128, size)
	case "push0":
		return push(producers, 0, size)
	}
	return nil, fmt.Errorf("unknown mode: %s", mode)
}

func push(producers []workload, capacity int, size uint32) (source.Instance, error) {
	events := make(chan source.PushEvent, capacity)
	var closed atomic.Bool
	var running sync.WaitGroup
	running.Add(len(producers))
	for _, next := range producers {
		go func() {
			defer running.Done()
			for !closed.Load() {
				events <- source.PushEvent{Data: next()}
			}
		}()
	}
	go func() {
		running.Wait()
		close(events)
	}()
	// A producer checks a flag, because a select would cost more. It may block in its last send, so shutdown drains the
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
