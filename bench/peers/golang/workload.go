package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const largestEvent = 1204 << 10

// workload returns the next payload at each call, without copying. bench/workloads.py describes the workloads.
type workload func() []byte

// newWorkload makes a workload from its name, such as "lines:FILE". It also returns the largest payload, 0 for the default.
func newWorkload(name string) (workload, uint32, error) {
	kind, file, _ := strings.Cut(name, ":")
	if kind == "empty" {
		return func() []byte { return nil }, 0, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, err
	}
	switch kind {
	case "lines":
		return cycle(bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))), 0, nil
	case "json":
		return encode(bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")))
	case "random":
		return slices(data), largestEvent, nil
	}
	return nil, 0, fmt.Errorf("unknown workload: %s", name)
}

func cycle(lines [][]byte) workload {
	at := -1
	return func() []byte {
		if at++; at == len(lines) {
			at = 0
		}
		return lines[at]
	}
}

// record is a log line.
type record struct {
	Time    string `json:"time"`
	Level   string `json:"level"`
	Message string `json:"message"`
	HTTP    struct {
		Method       string  `json:"method"`
		Path         string  `json:"path"`
		Status       int     `json:"status"`
		Milliseconds float64 `json:"ms"`
	} `json:"http"`
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Pod       string `json:"pod"`
		Container string `json:"container"`
	} `json:"k8s"`
	TraceID string `json:"trace_id"`
}

func encode(lines [][]byte) (workload, uint32, error) {
	records := make([]record, len(lines))
	for at, line := range lines {
		if err := json.Unmarshal(line, &records[at]); err != nil {
			return nil, 0, err
		}
	}
	at := -1
	return func() []byte {
		if at++; at == len(records) {
			at = 0
		}
		encoded, err := json.Marshal(&records[at])
		if err != nil {
			panic(err)
		}
		return encoded
	}, 0, nil
}

func slices(data []byte) workload {
	state := uint32(1)
	return func() []byte {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		return data[:1024+state%(largestEvent-1024)]
	}
}
