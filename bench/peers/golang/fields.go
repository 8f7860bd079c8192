package main

import (
	"io"

	"github.com/falcosecurity/plugin-sdk-go/pkg/sdk"
	"github.com/valyala/fastjson"
)

// field describes a field of the plugin. A field without keys is a constant.
type field struct {
	name   string
	number bool
	keys   []string
}

func text(name string, keys ...string) field {
	return field{name: name, keys: keys}
}

var fields = []field{
	{name: "bench.const", number: true},
	text("bench.level", "level"),
	text("bench.last", "trace_id"),
	text("audit.id", "auditID"),
	text("audit.stage", "stage"),
	text("audit.uri", "requestURI"),
	text("audit.verb", "verb"),
	text("audit.user.name", "user", "username"),
	text("audit.user.uid", "user", "uid"),
	text("audit.user.group", "user", "groups", "0"),
	text("audit.source", "sourceIPs", "0"),
	text("audit.useragent", "userAgent"),
	text("audit.target.resource", "objectRef", "resource"),
	text("audit.target.namespace", "objectRef", "namespace"),
	text("audit.target.name", "objectRef", "name"),
	{name: "audit.response.code", number: true, keys: []string{"responseStatus", "code"}},
	text("audit.label.app", "requestObject", "metadata", "labels", "app"),
	text("audit.account", "requestObject", "spec", "serviceAccountName"),
	text("audit.container.name", "requestObject", "spec", "containers", "0", "name"),
	text("audit.container.image", "requestObject", "spec", "containers", "0", "image"),
	{name: "audit.container.port", number: true, keys: []string{
		"requestObject", "spec", "containers", "0", "ports", "0", "containerPort"}},
	text("audit.received", "requestReceivedTimestamp"),
	text("audit.decision", "annotations", "authorization.k8s.io/decision"),
}

func (p *plugin) Fields() []sdk.FieldEntry {
	entries := make([]sdk.FieldEntry, 0, len(fields))
	for _, field := range fields {
		kind := "string"
		if field.number {
			kind = "uint64"
		}
		entries = append(entries, sdk.FieldEntry{Name: field.name, Type: kind, Desc: field.name})
	}
	return entries
}

func (p *plugin) Extract(req sdk.ExtractRequest, event sdk.EventReader) error {
	field := &fields[req.FieldID()]
	if field.keys == nil {
		req.SetValue(uint64(42))
		return nil
	}
	document, err := p.document(event)
	if err != nil {
		return err
	}
	value := document.Get(field.keys...)
	if value == nil {
		return nil
	}
	if field.number {
		number, err := value.Uint64()
		if err != nil {
			return err
		}
		req.SetValue(number)
		return nil
	}
	text, err := value.StringBytes()
	if err != nil {
		return err
	}
	req.SetValue(string(text))
	return nil
}

// document parses the payload of an event once for each event number, as the official plugins json and k8saudit do.
func (p *plugin) document(event sdk.EventReader) (*fastjson.Value, error) {
	if p.parsed != nil && p.number == event.EventNum() {
		return p.parsed, nil
	}
	p.parsed = nil
	data, err := io.ReadAll(event.Reader())
	if err != nil {
		return nil, err
	}
	parsed, err := p.parser.ParseBytes(data)
	if err != nil {
		return nil, err
	}
	p.parsed, p.number = parsed, event.EventNum()
	return parsed, nil
}
