"""Compares the fields of records with expected.fields, and with a second implementation of the fields.

The second implementation walks through decoded records and shares no code with the plugin. It wrote expected.fields,
which lists the fields of each record of the sample, and which was checked by reading:
``python test_cloudtrail_fields.py >expected.fields``.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from falco_plugin.testing import collect, run

CLOUDTRAIL = Path(__file__).parent
SAMPLE = CLOUDTRAIL / "sample.json"
EXPECTED = CLOUDTRAIL / "expected.fields"
REAL = CLOUDTRAIL.parents[2] / "shared/data/cloudtrail.jsonl"

REQUEST, RESPONSE, MORE = "requestParameters", "responseElements", "additionalEventData"
PLACES = {
    "ct.id": "eventID",
    "ct.error": "errorCode",
    "ct.errormessage": "errorMessage",
    "ct.time": "eventTime",
    "ct.src": "eventSource",
    "ct.name": "eventName",
    "ct.user.identitytype": "userIdentity type",
    "ct.user.principalid": "userIdentity principalId",
    "ct.user.arn": "userIdentity arn",
    "ct.region": "awsRegion",
    "ct.response": RESPONSE,
    "ct.response.subnetid": f"{RESPONSE} subnetId",
    "ct.response.reservationid": f"{RESPONSE} reservationId",
    "ct.request": REQUEST,
    "ct.request.availabilityzone": f"{REQUEST} availabilityZone",
    "ct.request.cluster": f"{REQUEST} cluster",
    "ct.request.functionname": f"{REQUEST} functionName",
    "ct.request.groupname": f"{REQUEST} groupName",
    "ct.request.host": f"{REQUEST} Host",
    "ct.request.name": f"{REQUEST} name",
    "ct.request.policy": f"{REQUEST} policy",
    "ct.request.reason": f"{REQUEST} reason",
    "ct.request.target": f"{REQUEST} target",
    "ct.request.documentname": f"{REQUEST} documentName",
    "ct.request.serialnumber": f"{REQUEST} serialNumber",
    "ct.request.servicename": f"{REQUEST} serviceName",
    "ct.request.subnetid": f"{REQUEST} subnetId",
    "ct.request.taskdefinition": f"{REQUEST} taskDefinition",
    "ct.request.username": f"{REQUEST} userName",
    "ct.srcip": "sourceIPAddress",
    "ct.useragent": "userAgent",
    "ct.managementevent": "managementEvent",
    "ct.readonly": "readOnly",
    "ct.requestid": "requestID",
    "ct.eventtype": "eventType",
    "ct.apiversion": "apiVersion",
    "ct.recipientaccountid": "recipientAccountId",
    "ct.serviceeventdetails": "serviceEventDetails",
    "ct.sharedeventid": "sharedEventID",
    "ct.vpcendpointid": "vpcEndpointId",
    "ct.eventcategory": "eventCategory",
    "ct.addendum.reason": "addendum reason",
    "ct.addendum.updatedfields": "addendum updatedFields",
    "ct.addendum.originalrequestid": "addendum originalRequestID",
    "ct.addendum.originaleventid": "addendum originalEventID",
    "ct.sessioncredentialfromconsole": "sessionCredentialFromConsole",
    "ct.edgedevicedetails": "edgeDeviceDetails",
    "ct.tlsdetails.tlsversion": "tlsDetails tlsVersion",
    "ct.tlsdetails.ciphersuite": "tlsDetails cipherSuite",
    "ct.tlsdetails.clientprovidedhostheader": "tlsDetails clientProvidedHostHeader",
    "ct.additionaleventdata": MORE,
    "s3.bucket": f"{REQUEST} bucketName",
    "s3.key": f"{REQUEST} key",
    "ecr.repository": f"{REQUEST} repositoryName",
    "ecr.imagetag": f"{REQUEST} imageTag",
    "iam.role": f"{REQUEST} roleName",
    "iam.policy": f"{REQUEST} policyName",
}
"""The fields that are one value of the record, with its path."""

Value: TypeAlias = str | int | list[str] | None
Walk: TypeAlias = Callable[[Any], Value]


def find(value: Any, path: str) -> Any:
    """Returns the value at a path of members, or ``None``."""
    for name in path.split():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def at(record: Any, path: str) -> str | None:
    return text(find(record, path))


def elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def user(record: Any) -> str | None:
    kind = at(record, "userIdentity type")
    if kind in ("AWSAccount", "FederatedUser"):
        return kind
    if kind == "AssumedRole":
        return at(record, "userIdentity sessionContext sessionIssuer userName") or kind
    return at(record, f"userIdentity {'invokedBy' if kind == 'AWSService' else 'userName'}")


def original_user(record: Any) -> str | None:
    if at(record, "userIdentity type") != "AssumedRole":
        return at(record, "userIdentity userName")
    found = re.fullmatch(r"[^/]*/[^/]*/([^/]*)", at(record, "userIdentity arn") or "", re.DOTALL) or re.fullmatch(
        r"[^:]*:([^:]*)", at(record, "userIdentity principalId") or "", re.DOTALL
    )
    return found and found[1]


def account(record: Any) -> str | None:
    own = at(record, "userIdentity accountId")
    return at(record, "recipientAccountId") if own is None else own


def short_source(record: Any) -> str | None:
    return re.sub(r"(?s)(.)\.amazonaws\.com\Z", r"\1", at(record, "eventSource") or "") or at(record, "eventSource")


def resources(record: Any) -> str | None:
    return ",".join(str(text(each)) for each in elements(record.get("resources")) if each is not None) or None


def size(record: Any, *directions: str) -> int | None:
    found = [find(record, f"{MORE} bytesTransferred{direction}") for direction in directions]
    sizes = [int(value) for value in found if type(value) in (int, float) and value >= 0 and value == int(value)]
    return sum(sizes) if sizes else None


def uri(record: Any) -> str | None:
    bucket, key = at(record, f"{REQUEST} bucketName"), at(record, f"{REQUEST} key")
    return None if None in (bucket, key) else f"s3://{bucket}/{key}"


def count(*names: str, otherwise: bool = False) -> Walk:
    return lambda record: 1 if (at(record, "eventName") in names) != otherwise else None


def instance_name(record: Any) -> str | None:
    name = None
    for each in elements(find(record, f"{REQUEST} tagSpecificationSet items")):
        if find(each, "resourceType") == "instance":
            names = [find(tag, "value") for tag in elements(find(each, "tags")) if find(tag, "key") == "Name"]
            if names and isinstance(names[0], str):
                name = names[0]
    return name


def images(record: Any, index: int | None = None) -> list[str] | None:
    items = find(record, f"{RESPONSE} instancesSet items")
    if items is None:
        paths = ("imageId", "DescribeFastLaunchImagesRequest ImageId content", "launchSpecification imageId")
        found = [at(record, f"{REQUEST} {path}") for path in paths]
        return [image for image in found if image is not None][:1] or None if index in (None, 0) else None
    chosen = elements(items) if index is None else elements(items)[index : index + 1]
    return [image for each in chosen if (image := at(each, "imageId")) is not None] or None


def info(record: Any) -> str:
    who = user(record) or at(record, "userIdentity type") or "<NA>"
    where, name = at(record, "sourceIPAddress") or "<NA>", at(record, "eventName") or "<NA>"
    arrow = "→" if at(record, "readOnly") == "false" else "←"
    failed = "!" if record.get("errorCode") is not None else ""
    line = f"{who} {failed}{arrow} {name}" if who == where else f"{who} via {where} {failed}{arrow} {name}"
    if name == "PutBucketPublicAccessBlock":
        blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        values = {block: at(record, f"{REQUEST} PublicAccessBlockConfiguration {block}") or "<NA>" for block in blocks}
        return " ".join([line, *(f"{block}={value}" for block, value in values.items())])
    if (total := size(record, "In", "Out")) is not None:
        line += f" Size={total}"
    for label, value in (
        ("URI", uri(record)),
        ("Bucket", at(record, f"{REQUEST} bucketName")),
        ("Key", at(record, f"{REQUEST} key")),
        ("Host", at(record, f"{REQUEST} Host")),
    ):
        if value is not None:
            return f"{line} {label}={value}"
    return line


def described(record: Any) -> str:
    parts = [at(record, "awsRegion") or "<NA>", user(record), short_source(record) or "<NA>"]
    return " ".join(part for part in [*parts, at(record, "eventName") or "<NA>", info(record)] if part)


WALKS: dict[str, Walk] = {
    **{name: lambda record, place=place: at(record, place) for name, place in PLACES.items()},
    "ct.user": user,
    "ct.originaluser": original_user,
    "ct.user.accountid": account,
    "ct.shortsrc": short_source,
    "ct.resources": resources,
    "ct.info": info,
    "s3.uri": uri,
    "s3.bytes": lambda record: size(record, "In", "Out"),
    "s3.bytes.in": lambda record: size(record, "In"),
    "s3.bytes.out": lambda record: size(record, "Out"),
    "s3.cnt.get": count("GetObject"),
    "s3.cnt.put": count("PutObject"),
    "s3.cnt.other": count("GetObject", "PutObject", otherwise=True),
    "ec2.name": instance_name,
    "ec2.imageid": lambda record: (images(record, 0) or [None])[0],
    "ec2.imageids": images,
    "ec2.imageids[0]": lambda record: images(record, 0),
    "ec2.imageids[1]": lambda record: images(record, 1),
    "ec2.imageids[9]": lambda record: images(record, 9),
}
NUMBERS = {"s3.bytes", "s3.bytes.in", "s3.bytes.out", "s3.cnt.get", "s3.cnt.put", "s3.cnt.other"}
OFFICIAL = set(PLACES) | {
    *("ct.user", "ct.originaluser", "ct.user.accountid", "ct.shortsrc", "ct.resources", "ct.info", "s3.uri"),
    *("ec2.name", "ec2.imageid", "ec2.imageids"),
    *NUMBERS,
}
"""The 73 fields of the official plugin 0.17.1. ``ec2.imageids`` is a list with an optional index."""
PROPERTIES = {
    "hidden": {"ct.time", *NUMBERS} - {"s3.bytes"},
    "conversation": {"ct.user", "ct.srcip", "s3.uri", "s3.bucket"},
    "info": {"ct.info"},
}


def records_of(log: Path) -> list[Any]:
    if log.suffix == ".jsonl":
        return [json.loads(line) for line in log.read_text().splitlines()]
    return json.loads(log.read_text())["Records"]


def present(record: Any) -> dict[str, Value]:
    """Returns the fields of a record that the second implementation finds."""
    return {name: value for name in sorted(WALKS) if (value := WALKS[name](record)) is not None}


def write_expected() -> None:
    for number, record in enumerate(records_of(SAMPLE), 1):
        print(f"# {number}: {record['eventName']}\n")
        for name, value in present(record).items():
            print(f"{name:<40} {json.dumps(value, ensure_ascii=False)}")
        print()


def expected() -> list[dict[str, Value]]:
    """Returns the fields in expected.fields, for each record."""
    records: list[dict[str, Value]] = []
    for line in EXPECTED.read_text().splitlines():
        if line.startswith("#"):
            records.append({})
        elif line:
            name, value = line.split(maxsplit=1)
            records[-1][name] = json.loads(value)
    return records


def write_log(path: Path, records: list[Any]) -> Path:
    path.write_text(json.dumps({"Records": records}, ensure_ascii=False, separators=(",", ":")))
    return path


def extracted(log: Path) -> list[dict[str, Value]]:
    """Returns the fields that the plugin extracts in the native host."""
    events = collect(CLOUDTRAIL, str(log), fields=sorted(WALKS), timeout=60)
    return [{name: event.fields[name] for name in WALKS if event.fields[name] is not None} for event in events]


@pytest.fixture(scope="module")
def metadata() -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", str(CLOUDTRAIL), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_fields_have_official_names_types_and_arguments(metadata: dict[str, Any]) -> None:
    fields = {field["name"]: field for field in metadata["fields"]}
    assert len(OFFICIAL) == 73
    assert fields.keys() == OFFICIAL
    assert {name for name, field in fields.items() if field["type"] == "uint64"} == NUMBERS
    assert {field["type"] for field in fields.values()} == {"string", "uint64"}
    assert {name for name, field in fields.items() if field["isList"]} == {"ec2.imageids"}
    arguments = {name: field["arg"] for name, field in fields.items() if "arg" in field}
    assert arguments == {"ec2.imageids": {"isRequired": False, "isIndex": True, "isKey": False}}
    for flag, names in PROPERTIES.items():
        assert {name for name, field in fields.items() if flag in field.get("properties", ())} == names


def test_plugin_has_official_name_version_and_source(metadata: dict[str, Any]) -> None:
    assert (metadata["name"], metadata["id"], metadata["event_source"]) == ("cloudtrail", 2, "aws_cloudtrail")
    major, minor, _ = map(int, metadata["version"].split("."))
    # The official rules require this major version, and at least this minor version.
    assert (0, 10) <= (major, minor) < (1, 0)


def test_fields_of_the_sample_have_expected_values() -> None:
    for number, (fields, wanted) in enumerate(zip(extracted(SAMPLE), expected(), strict=True), 1):
        assert fields == wanted, f"record {number}"


def test_sample_has_a_value_for_each_field() -> None:
    assert {name for fields in expected() for name in fields} == WALKS.keys() - {"ec2.imageids[9]"}


@pytest.mark.skipif(not REAL.exists(), reason="there are no real logs beside the checkout")
def test_fields_of_real_records_have_expected_values(tmp_path: Path) -> None:
    records = records_of(REAL)
    for number, (fields, record) in enumerate(
        zip(extracted(write_log(tmp_path / "log.json", records)), records, strict=True), 1
    ):
        assert fields == present(record), f"record {number}"


def test_unusual_records_keep_their_readable_fields(tmp_path: Path) -> None:
    chance = random.Random(2026)
    records = [changed(record, chance) for record in records_of(SAMPLE) for _ in range(12)]
    for record, fields in zip(records, extracted(write_log(tmp_path / "log.json", records)), strict=True):
        assert fields == present(record), json.dumps(record)


def changed(record: Any, chance: random.Random) -> Any:
    """Returns a copy of a record with some members replaced or removed."""
    copy = json.loads(json.dumps(record))
    for _ in range(4):
        container: Any = copy
        key: Any = chance.choice(sorted(copy.keys() - {"eventTime", "eventType"}))
        while isinstance(container[key], (dict, list)) and container[key] and chance.random() < 0.8:
            container = container[key]
            key = chance.choice(sorted(container) if isinstance(container, dict) else range(len(container)))
        if chance.random() < 0.3:
            del container[key]
        else:
            container[key] = chance.choice([None, "", "x:y/z", 7, 2.5, True, False, [], {}, ["a", 1], {"a": "é\\"}])
    return copy


def test_event_text_is_its_summary(tmp_path: Path) -> None:
    records = [*records_of(SAMPLE), {"eventTime": "2026-01-01T00:00:01Z"}]
    ran = run(CLOUDTRAIL, str(write_log(tmp_path / "log.json", records)))
    assert ran.texts == [described(record) for record in records]
    assert ran.texts[6] == (
        "eu-west-1 ada s3 GetObject ada via 192.0.2.7 ← GetObject Size=4096 URI=s3://example-logs/2026/é.csv"
    )
    assert ran.texts[-1] == "<NA> <NA> <NA> <NA> ← <NA>"


if __name__ == "__main__":
    write_expected()
