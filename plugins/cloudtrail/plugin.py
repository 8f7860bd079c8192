"""The plugin: records of AWS CloudTrail from files, S3 or SQS, and their fields."""

from __future__ import annotations

from falco_plugin import Context, Event, OpenParam, Plugin, source

from .config import Config
from .files import Files
from .metrics import DeliveryMetrics
from .summary import SummaryFields


class CloudTrail(SummaryFields, DeliveryMetrics, Plugin):
    """Records of AWS CloudTrail, from files, from S3 or from a queue of SQS"""

    name = "cloudtrail"
    # The version of the official plugin with the same fields, because rules require a version.
    version = "0.17.1"
    id = 2
    event_source = "aws_cloudtrail"
    config: Config

    def open(self, params: str, context: Context) -> source.Instance:
        """Reads ``params``: ``s3://bucket/prefix``, ``sqs://queue``, a file or a folder."""
        if not params:
            raise ValueError("open_params is empty: set it to a file, a folder, s3://bucket/prefix or sqs://queue")
        if params.startswith(("s3://", "sqs://")):
            # The client of AWS takes long to import, so files do without it.
            from .remote import open_remote

            return open_remote(self, params, context)
        return Files(params, self.config.max_event_size, context, self, self.log)

    def event_to_string(self, event: Event) -> str:
        """Returns the event in one line, in the form of the official plugin. The whole record is ``event.data``."""
        return self.describe(event)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam("s3://bucket/AWSLogs/123456789012/", "objects of a bucket, in the interval of s3Interval"),
            OpenParam("sqs://queue", "a queue with notifications of new log files"),
            OpenParam("/var/log/cloudtrail", "a log file, or a folder of log files"),
        ]
