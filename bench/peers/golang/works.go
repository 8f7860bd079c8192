package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

const largestEvent = 1204 << 10

// work gives the payloads, one after the other, without copying. bench/works.py tells what they are.
type work func() []byte

// newWork makes a work from its name, such as "lines:FILE". Also tells how large a payload can be, or 0.
func newWork(name string) (work, uint32, error) {
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
	case "random":
		return slices(data), largestEvent, nil
	}
	return nil, 0, fmt.Errorf("no such work: %s", name)
}

func cycle(lines [][]byte) work {
	at := -1
	return func() []byte {
		if at++; at == len(lines) {
			at = 0
		}
		return lines[at]
	}
}

func slices(data []byte) work {
	state := uint32(1)
	return func() []byte {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		return data[:1024+state%(largestEvent-1024)]
	}
}
