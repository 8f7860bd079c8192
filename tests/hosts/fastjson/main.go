// fastjson
//
// Reads JSON documents with github.com/valyala/fastjson, the parser of the official plugins json and k8saudit, so that
// tests can compare values in damaged JSON.
//
// Each line of stdin is {"document": BASE64, "pointers": [[BASE64, …], …]}, where a pointer is a list of tokens. The
// pointers are read in order from one parsed document. Without pointers, the answer has every value of the document.
// Each value is then read from a freshly parsed document, because reading changes fastjson's documents.
//
// Each line of stdout is {"error": TEXT} or {"values": [{"pointer": [BASE64, …], "type": TYPE, "text": BASE64}, …]}. The
// text is what the official plugin json makes of a value: a string is unescaped, every other value is JSON. The type of
// a value that was not found is "".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/valyala/fastjson"
)

type request struct {
	Document []byte     `json:"document"`
	Pointers [][][]byte `json:"pointers"`
}

type value struct {
	Pointer [][]byte `json:"pointer"`
	Type    string   `json:"type"`
	Text    []byte   `json:"text"`
}

type answer struct {
	Error  string  `json:"error,omitempty"`
	Values []value `json:"values,omitempty"`
}

func read(document *fastjson.Value, pointer [][]byte) value {
	keys := make([]string, len(pointer))
	for i, token := range pointer {
		keys[i] = string(token)
	}
	found := document.Get(keys...)
	if found == nil {
		return value{Pointer: pointer}
	}
	if found.Type() == fastjson.TypeString {
		return value{pointer, "string", append([]byte{}, found.GetStringBytes()...)}
	}
	return value{pointer, found.Type().String(), found.MarshalTo(nil)}
}

// pointers lists the pointers to all values within a value, but only to the first hundred elements of an array.
func pointers(in *fastjson.Value, path [][]byte, into [][][]byte) [][][]byte {
	into = append(into, path)
	extend := func(token []byte) [][]byte {
		return append(append([][]byte{}, path...), append([]byte{}, token...))
	}
	switch in.Type() {
	case fastjson.TypeArray:
		for i, element := range in.GetArray() {
			if i == 100 {
				break
			}
			into = pointers(element, extend(strconv.AppendInt(nil, int64(i), 10)), into)
		}
	case fastjson.TypeObject:
		in.GetObject().Visit(func(key []byte, member *fastjson.Value) {
			into = pointers(member, extend(key), into)
		})
	}
	return into
}

func respond(r request) answer {
	var parser fastjson.Parser
	document, err := parser.ParseBytes(r.Document)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var a answer
	if r.Pointers != nil {
		for _, pointer := range r.Pointers {
			a.Values = append(a.Values, read(document, pointer))
		}
		return a
	}
	for _, pointer := range pointers(document, [][]byte{}, nil) {
		document, err := parser.ParseBytes(r.Document)
		if err != nil {
			return answer{Error: err.Error()}
		}
		a.Values = append(a.Values, read(document, pointer))
	}
	return a
}

func run() error {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if err := out.Encode(respond(r)); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fastjson:", err)
		os.Exit(1)
	}
}
