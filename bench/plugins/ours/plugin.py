"""The benchmark's plugin of this SDK. Open params: `MODE WORKLOAD`; the modes are in `modes.py`. The configuration, if
any, is a switch interval in seconds that replaces the SDK's."""

from __future__ import annotations

import sys

from falco_plugin import Context, Counter, Event, Gauge, Plugin, field, json_field, source

from .modes import MODES


class Ours(Plugin):
    """The workloads of the benchmark, made by this SDK"""

    name = "bench-ours"
    event_source = "bench"

    opened = Counter("opened", desc="Sources that were opened")
    size = Gauge("size", desc="A number")

    @field("bench.const", desc="A constant")
    def constant(self, event: Event) -> int:
        return 42

    level = json_field("bench.level", "/level", desc="A string near the front of a log line")
    last = json_field("bench.last", "/trace_id", desc="A string at the end of a log line")

    audit_id = json_field("audit.id", "/auditID", desc="A string")
    stage = json_field("audit.stage", "/stage", desc="A string")
    uri = json_field("audit.uri", "/requestURI", desc="A string")
    verb = json_field("audit.verb", "/verb", desc="A string")
    user_name = json_field("audit.user.name", "/user/username", desc="A string")
    user_uid = json_field("audit.user.uid", "/user/uid", desc="A string")
    user_group = json_field("audit.user.group", "/user/groups/0", desc="A string")
    source_address = json_field("audit.source", "/sourceIPs/0", desc="A string")
    useragent = json_field("audit.useragent", "/userAgent", desc="A string")
    target_resource = json_field("audit.target.resource", "/objectRef/resource", desc="A string")
    target_namespace = json_field("audit.target.namespace", "/objectRef/namespace", desc="A string")
    target_name = json_field("audit.target.name", "/objectRef/name", desc="A string")
    response_code = json_field("audit.response.code", "/responseStatus/code", type=int, desc="A number")
    label_app = json_field("audit.label.app", "/requestObject/metadata/labels/app", desc="A string")
    account = json_field("audit.account", "/requestObject/spec/serviceAccountName", desc="A string")
    container_name = json_field("audit.container.name", "/requestObject/spec/containers/0/name", desc="A string")
    container_image = json_field("audit.container.image", "/requestObject/spec/containers/0/image", desc="A string")
    container_port = json_field(
        "audit.container.port", "/requestObject/spec/containers/0/ports/0/containerPort", type=int, desc="A number"
    )
    received = json_field("audit.received", "/requestReceivedTimestamp", desc="A string")
    decision = json_field("audit.decision", "/annotations/authorization.k8s.io~1decision", desc="A string")

    def open(self, params: str, context: Context) -> source.OpenResult:
        if self.config:
            sys.setswitchinterval(float(self.config))
        mode, _, workload = params.partition(" ")
        return MODES[mode](workload, context)
