"""Reads lines from instances."""

from falco_plugin.source import EOF, Timeout


def next_lines(instance):
    batch = instance.events
    batch.clear()
    count = instance.next_batch(batch)
    assert count == len(batch) > 0
    return [batch[index].data for index in range(count)]


def until_none(instance):
    """Reads the lines that are available now."""
    lines = []
    try:
        while True:
            lines += next_lines(instance)
    except Timeout:
        return lines


def to_the_end(instance):
    lines = []
    try:
        while True:
            lines += next_lines(instance)
    except EOF:
        return lines


def append(path, data):
    with path.open("ab") as file:
        file.write(data)
