"""The configuration in ``init_config``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

_LARGEST_EVENT = 2**32 - 39
"""Bytes of the largest payload. The plugin API stores the size of an event and its header in 32 bits."""
_ACCOUNT_DIGITS = 12

# Falco makes a number of an unquoted account id in YAML.
_Accounts: TypeAlias = str | int


class AwsConfig(Struct, frozen=True):
    """Overrides of the AWS configuration"""

    profile: Annotated[str, Meta(description="Profile in the shared configuration files; overrides AWS_PROFILE")] = ""
    region: Annotated[str, Meta(description="Region; overrides the profile and AWS_REGION")] = ""
    config: Annotated[
        str, Meta(description="Path of the shared configuration file; overrides ~/.aws/config and AWS_CONFIG_FILE")
    ] = ""
    credentials: Annotated[
        str,
        Meta(
            description="Path of the shared credentials file;"
            " overrides ~/.aws/credentials and AWS_SHARED_CREDENTIALS_FILE"
        ),
    ] = ""

    role: Annotated[str, Meta(description="ARN of a role to assume with the credentials")] = ""
    endpoint: Annotated[
        str, Meta(description="URL of S3, SQS and STS instead of AWS's, such as of an interface endpoint of a VPC")
    ] = ""


_NAMES = {
    "s3_download_concurrency": "s3DownloadConcurrency",
    "s3_interval": "s3Interval",
    "s3_account_list": "s3AccountList",
    "s3_poll_seconds": "s3PollSeconds",
    "cursor_file": "cursorFile",
    "sqs_delete": "sqsDelete",
    "sqs_owner_account": "sqsOwnerAccount",
    "use_s3_sns": "useS3SNS",
    "use_async": "useAsync",
    "max_event_size": "maxEventSize",
}
_OTHER_SPELLINGS = {
    "s3_interval": "other_interval",
    "s3_account_list": "other_account_list",
    "sqs_owner_account": "other_owner_account",
}


class Config(Struct, frozen=True, rename=_NAMES):
    """The settings of the official plugin, and a few more"""

    s3_download_concurrency: Annotated[
        int, Meta(ge=1, le=1024, description="Number of objects of S3 that are downloaded at the same time")
    ] = 32
    s3_interval: Annotated[
        str, Meta(description="Interval of the log files to read from S3, such as 5d or 2026-01-01T00:00:00Z-5d")
    ] = ""
    s3_account_list: Annotated[
        _Accounts, Meta(description="Account ids of an organisation trail, separated by commas; all if empty")
    ] = ""
    s3_poll_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=24 * 3600,
            description="Seconds until S3 is searched for new log files, up to a day; 0 ends after the first search",
        ),
    ] = 0
    cursor_file: Annotated[
        str, Meta(description="Path of the file that keeps the position in S3 across restarts; its folder must exist")
    ] = ""
    sqs_delete: Annotated[
        bool, Meta(description="Whether to delete a message from the queue once Falco has its events")
    ] = True
    sqs_owner_account: Annotated[
        _Accounts, Meta(description="Account id of the queue's owner, if it is another account")
    ] = ""
    use_s3_sns: Annotated[
        bool, Meta(description="Accepted for compatibility with the official plugin; has no effect")
    ] = False
    use_async: Annotated[
        bool, Meta(description="Accepted for compatibility with the official plugin; has no effect")
    ] = True
    max_event_size: Annotated[
        int,
        Meta(ge=1, le=_LARGEST_EVENT, description="Bytes of the largest record, up to 4 GiB; larger ones are skipped"),
    ] = 1 << 20
    aws: Annotated[AwsConfig, Meta(description="Overrides of the AWS configuration")] = AwsConfig()

    # The official README also has these spellings, and the official plugin ignores the case of keys.
    other_interval: Annotated[str, Meta(description="The same as s3Interval")] = field(default="", name="S3Interval")
    other_account_list: Annotated[_Accounts, Meta(description="The same as s3AccountList")] = field(
        default="", name="S3AccountList"
    )
    other_owner_account: Annotated[_Accounts, Meta(description="The same as sqsOwnerAccount")] = field(
        default="", name="SQSOwnerAccount"
    )

    def __post_init__(self) -> None:
        for name, other in _OTHER_SPELLINGS.items():
            if value := getattr(self, other):
                if getattr(self, name):
                    raise ValueError(f"{_NAMES[name]} is set twice, in two spellings: remove one of them")
                force_setattr(self, name, value)

    @property
    def accounts(self) -> list[str]:
        """The account ids of ``s3AccountList``."""
        return [account for part in _digits(self.s3_account_list).split(",") if (account := part.strip())]

    @property
    def queue_owner(self) -> str:
        """The account id of ``sqsOwnerAccount``, or an empty string."""
        return _digits(self.sqs_owner_account).strip()


def _digits(accounts: _Accounts) -> str:
    return accounts if isinstance(accounts, str) else f"{accounts:0{_ACCOUNT_DIGITS}}"
