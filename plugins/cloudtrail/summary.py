"""The summary of a record in one line."""

from __future__ import annotations

from falco_plugin import Event, field, json_field

from .fields import RecordFields
from .services import ServiceFields

_NONE = "<NA>"
_ACCESS_BLOCK = "PutBucketPublicAccessBlock"
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")

# This is not an attribute of the class, so it is not a field of the plugin.
_BLOCK_SETTINGS = json_field(
    "ct.info", "/requestParameters/PublicAccessBlockConfiguration/{key}", desc="A setting of the public access block"
)


class SummaryFields(RecordFields, ServiceFields):
    """The field ``ct.info``, and the text of an event."""

    @field("ct.info", desc="Summary of the event: who, from where, what, and details of some events", info=True)
    def info(self, event: Event) -> str:
        """Returns who did it, from where, and what: ``eve via 192.0.2.7 ← GetObject URI=s3://bucket/key``.

        The arrow points to the left if the request only reads, and follows ``!`` if the request failed. Without a name
        of the user, the type of the user is named.
        """
        who = self.user(event) or self.identity_type(event) or _NONE
        where = self.source_ip(event) or _NONE
        failed = "" if self.error(event) is None else "!"
        arrow = "→" if self.read_only(event) == "false" else "←"
        name = self.event_name(event) or _NONE
        origin = who if who == where else f"{who} via {where}"
        return " ".join([origin, f"{failed}{arrow}", name, *self._details(event, name)])

    def describe(self, event: Event) -> str:
        """Returns the region, user, service, name and summary of an event."""
        region, service, name = self.region(event), self.short_source(event), self.event_name(event)
        parts = [region or _NONE, self.user(event), service or _NONE, name or _NONE, self.info(event)]
        return " ".join(part for part in parts if part)

    def _details(self, event: Event, name: str) -> list[str]:
        if name == _ACCESS_BLOCK:
            return [f"{block}={_BLOCK_SETTINGS(event, key=block) or _NONE}" for block in _BLOCKS]
        size = self.bytes_total(event)
        details = [] if size is None else [f"Size={size}"]
        bucket, key, host = self.bucket(event), self.key(event), self.request_host(event)
        if bucket is not None:
            details.append(f"Bucket={bucket}" if key is None else f"URI=s3://{bucket}/{key}")
        elif key is not None:
            details.append(f"Key={key}")
        elif host is not None:
            details.append(f"Host={host}")
        return details
