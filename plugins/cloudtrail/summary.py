"""The summary of a record in one line."""

from __future__ import annotations

from falco_plugin import Event, json_field

_NONE = "<NA>"
_SERVICE_SUFFIX = ".amazonaws.com"
_ACCESS_BLOCK = "PutBucketPublicAccessBlock"
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")

# These are not attributes of the plugin's class, so they are not fields of the plugin.
_IDENTITY = json_field("ct.info", "/userIdentity/type", desc="Type of the user")
_ADDRESS = json_field("ct.info", "/sourceIPAddress", desc="Address of the client")
_ERROR = json_field("ct.info", "/errorCode", desc="Code of the error")
_READ_ONLY = json_field("ct.info", "/readOnly", desc="Whether the request changes nothing")
_NAME = json_field("ct.info", "/eventName", desc="Name of the event")
_REGION = json_field("ct.info", "/awsRegion", desc="Region of the request")
_SERVICE = json_field("ct.info", "/eventSource", desc="Service that was called")
_BLOCK_SETTINGS = json_field(
    "ct.info", "/requestParameters/PublicAccessBlockConfiguration/{key}", desc="A setting of the public access block"
)
_BYTES_IN = json_field("ct.info", "/additionalEventData/bytesTransferredIn", type=int, desc="Bytes of an upload")
_BYTES_OUT = json_field("ct.info", "/additionalEventData/bytesTransferredOut", type=int, desc="Bytes of a download")
_BUCKET = json_field("ct.info", "/requestParameters/bucketName", desc="Bucket of the request")
_KEY = json_field("ct.info", "/requestParameters/key", desc="Key of the object")
_HOST = json_field("ct.info", "/requestParameters/Host", desc="Host in the request")


def summarize(event: Event, user: str | None) -> str:
    """Returns who did it, from where, and what: ``eve via 192.0.2.7 ← GetObject URI=s3://bucket/key``.

    The arrow points to the left if the request only reads, and follows ``!`` if the request failed.

    Args:
        event: the record.
        user: the user's name. Without it, the type of the user is named.
    """
    who = user or _IDENTITY(event) or _NONE
    where = _ADDRESS(event) or _NONE
    failed = "" if _ERROR(event) is None else "!"
    arrow = "→" if _READ_ONLY(event) == "false" else "←"
    name = _NAME(event) or _NONE
    origin = who if who == where else f"{who} via {where}"
    return " ".join([origin, f"{failed}{arrow}", name, *_details(event, name)])


def describe(event: Event, user: str | None) -> str:
    """Returns the text of an event: its region, user, service, name and summary."""
    service = _SERVICE(event) or _NONE
    short = service.removesuffix(_SERVICE_SUFFIX) or service
    parts = [_REGION(event) or _NONE, user, short, _NAME(event) or _NONE, summarize(event, user)]
    return " ".join(part for part in parts if part)


def _details(event: Event, name: str) -> list[str]:
    if name == _ACCESS_BLOCK:
        return [f"{block}={_BLOCK_SETTINGS(event, key=block) or _NONE}" for block in _BLOCKS]
    sizes = [size for size in (_BYTES_IN(event), _BYTES_OUT(event)) if size is not None]
    details = [f"Size={sum(sizes)}"] if sizes else []
    bucket, key, host = _BUCKET(event), _KEY(event), _HOST(event)
    if bucket is not None:
        details.append(f"Bucket={bucket}" if key is None else f"URI=s3://{bucket}/{key}")
    elif key is not None:
        details.append(f"Key={key}")
    elif host is not None:
        details.append(f"Host={host}")
    return details
