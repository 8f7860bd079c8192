module bench-peer

go 1.24

require (
	github.com/falcosecurity/plugin-sdk-go v0.8.3
	github.com/valyala/fastjson v1.6.10
)
