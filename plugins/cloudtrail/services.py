"""The fields of single services: ``s3.*``, ``ec2.*``, ``ecr.*`` and ``iam.*``."""

from __future__ import annotations

import msgspec

from falco_plugin import Event, field, json_field

# These are not attributes of the class, so they are not fields of the plugin.
_EVENT_NAME = json_field("ct.name", "/eventName", desc="Name of the event")
_TAG_SETS = json_field(
    "ec2.name", "/requestParameters/tagSpecificationSet/items/*", type=list[str], desc="Sets of tags, as JSON"
)
_INSTANCES = json_field("ec2.imageids", "/responseElements/instancesSet/items", desc="Started instances")
_IMAGES = json_field(
    "ec2.imageids",
    "/responseElements/instancesSet/items/{index|*}/imageId",
    type=list[str],
    desc="Images of the started instances",
)
_REQUESTED_IMAGES = [
    json_field("ec2.imageids", f"/requestParameters/{pointer}", desc="Image in the request")
    for pointer in ("imageId", "DescribeFastLaunchImagesRequest/ImageId/content", "launchSpecification/imageId")
]


class ServiceFields:
    """Fields of S3, EC2, ECR and IAM."""

    # S3

    bucket = json_field("s3.bucket", "/requestParameters/bucketName", desc="Bucket of the request", conversation=True)
    key = json_field("s3.key", "/requestParameters/key", desc="Key of the object")
    bytes_in = json_field(
        "s3.bytes.in", "/additionalEventData/bytesTransferredIn", type=int, desc="Bytes of an upload", hidden=True
    )
    bytes_out = json_field(
        "s3.bytes.out", "/additionalEventData/bytesTransferredOut", type=int, desc="Bytes of a download", hidden=True
    )

    @field("s3.uri", desc="URI of the object, s3://bucket/key", conversation=True)
    def uri(self, event: Event) -> str | None:
        bucket, key = self.bucket(event), self.key(event)
        return None if bucket is None or key is None else f"s3://{bucket}/{key}"

    @field("s3.bytes", desc="Bytes of a download or an upload")
    def bytes_total(self, event: Event) -> int | None:
        sizes = [size for size in (self.bytes_in(event), self.bytes_out(event)) if size is not None]
        return sum(sizes) if sizes else None

    @field("s3.cnt.get", desc="1 for GetObject, absent for other events", hidden=True)
    def count_get(self, event: Event) -> int | None:
        return 1 if _EVENT_NAME(event) == "GetObject" else None

    @field("s3.cnt.put", desc="1 for PutObject, absent for other events", hidden=True)
    def count_put(self, event: Event) -> int | None:
        return 1 if _EVENT_NAME(event) == "PutObject" else None

    @field("s3.cnt.other", desc="1 for all events except GetObject and PutObject", hidden=True)
    def count_other(self, event: Event) -> int | None:
        return None if _EVENT_NAME(event) in ("GetObject", "PutObject") else 1

    # EC2

    @field("ec2.name", desc="Name of the instances, from their tag Name in the request")
    def instance_name(self, event: Event) -> str | None:
        names = [name for text in _TAG_SETS(event) or () if (name := _name_of(text)) is not None]
        return names[-1] if names else None

    @field("ec2.imageids", desc="Images of the instances in the response, or the image in the request")
    def images(self, event: Event, index: int | None = None) -> list[str] | None:
        if _INSTANCES(event) is not None:
            return _IMAGES(event, index)
        if index not in (None, 0):
            return None
        return next(([image] for pointer in _REQUESTED_IMAGES if (image := pointer(event)) is not None), None)

    @field("ec2.imageid", desc="(Deprecated) First image of the instances: use ec2.imageids[0]")
    def image(self, event: Event) -> str | None:
        images = self.images(event, 0)
        return images[0] if images else None

    # ECR and IAM

    repository = json_field("ecr.repository", "/requestParameters/repositoryName", desc="Repository in the request")
    image_tag = json_field("ecr.imagetag", "/requestParameters/imageTag", desc="Tag of the image in the request")
    role = json_field("iam.role", "/requestParameters/roleName", desc="Role in the request")
    policy = json_field("iam.policy", "/requestParameters/policyName", desc="Policy in the request")


def _name_of(text: str) -> str | None:
    """Returns the tag ``Name`` of a set of tags, if the set is for instances."""
    try:
        tag_set = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tag_set, dict) or tag_set.get("resourceType") != "instance":
        return None
    tags = tag_set.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and tag.get("key") == "Name":
            name = tag.get("value")
            return name if isinstance(name, str) else None
    return None
