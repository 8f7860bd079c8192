"""Words of messages."""


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, such as ``1 event`` or ``2,000 events``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
