"""The metrics of files, S3 and SQS."""

from __future__ import annotations

from falco_plugin import Counter, Gauge


class DeliveryMetrics:
    """Base class of the plugin with its metrics, except those of the SDK."""

    files = Counter("files", desc="Log files whose records were delivered, without those that cannot be read")
    unreadable_files = Counter("unreadable_files", desc="Log files that cannot be read, or not to their end")
    bytes_read = Counter("bytes", desc="Bytes of the log files, as they are stored")
    records = Counter("records", desc="Records of the log files that were delivered")
    lag = Gauge(
        "lag_seconds",
        desc="Age of the last delivered log file in S3, from its upload; 0 when no newer one is known",
    )
    messages_in_flight = Gauge(
        "messages_in_flight", desc="Messages of the queue that were received, and are not deleted or left"
    )
