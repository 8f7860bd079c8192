"""Opens S3 and SQS as sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falco_plugin import Context, Cursor, source

from .delivery import Delivery
from .s3 import SCHEME as S3
from .s3 import S3Source, first_position
from .sqs import SqsSource

if TYPE_CHECKING:
    from .plugin import CloudTrail


def open_remote(plugin: CloudTrail, params: str, context: Context) -> source.IterInstance:
    """Opens ``s3://bucket/prefix`` or ``sqs://queue``.

    Raises:
        ValueError: the open params or a setting is wrong.
        AwsError: AWS rejects the first request, and another attempt would fail too.
    """
    read = open_reader(plugin, params).read
    return source.IterInstance(read, context=context, event_size=plugin.config.max_event_size)


def open_reader(plugin: CloudTrail, params: str) -> S3Source | SqsSource:
    """Returns the reader of `open_remote`."""
    config, log = plugin.config, plugin.log
    delivery = Delivery(config.max_event_size, plugin, log)
    if params.startswith(S3):
        start = first_position(config)
        cursor = Cursor(plugin, params, path=config.cursor_file or None, start=start)
        if cursor.value.setting != config.s3_interval:
            log.warning("s3Interval is another one than in cursorFile: beginning with the new interval")
            cursor.save(start)
        return S3Source(params, config, delivery, cursor, log)
    for name, value in (("s3Interval", config.s3_interval), ("s3AccountList", config.s3_account_list)):
        if value:
            log.warning("%s has no effect with %s: it is for s3://", name, params)
    return SqsSource(params, config, delivery, log)
