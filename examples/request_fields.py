"""Adds fields to the events of other plugins: a plugin without ``open``, with fields from JSON and from methods.

$ falco-plugin run plugins/tail --with examples/request_fields.py --params requests.jsonl --all-fields
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from falco_plugin import Event, Plugin, field, json_field


class RequestFields(Plugin):
    """Fields of HTTP requests that are logged as JSON"""

    name = "request_fields"

    path = json_field("request.path", "/path", desc="The path of the request")
    status = json_field("request.status", "/status", type=int, desc="The status of the response")
    client = json_field("request.client", "/client", type=IPv4Address | IPv6Address, desc="The client's IP address")
    header = json_field("request.header", "/headers/{key}", desc="A header, such as request.header[user-agent]")

    @field("request.is_refused", desc="Whether the response refuses the client access")
    def is_refused(self, event: Event) -> bool:
        return self.status(event) in (401, 403)

    @field("request.segments", desc="All segments of the path")
    def segments(self, event: Event) -> list[str] | None:
        path = self.path(event)
        return None if path is None else [segment for segment in path.split("/") if segment]
