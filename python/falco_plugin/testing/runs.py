"""Runs a plugin in the native host until it ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from falco_plugin._falco.written_events import WrittenEvent
from falco_plugin.testing.extracted import ExtractedEvent
from falco_plugin.testing.plugins import (
    Config,
    FurtherPlugin,
    TestedPlugin,
)
from falco_plugin.testing.results import Run, RunError
from falco_plugin.testing.running import RunningPlugin


def collect(
    plugin: TestedPlugin,
    params: str = "",
    *,
    config: Config = None,
    fields: Sequence[str] | None = None,
    plugins: Sequence[FurtherPlugin] = (),
    scap: str | os.PathLike[str] | None = None,
    replay: str | os.PathLike[str] | None = None,
    events: Iterable[WrittenEvent] | None = None,
    limit: int | None = None,
    timeout: float = 5,
) -> list[ExtractedEvent]:
    r"""Runs a plugin's event source until it ends or has made a number of events, and returns the events.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``, as a string or as a mapping, which is passed as JSON.
        fields: the fields to extract from each event, written as in rules, such as
            ``["ka.verb", "jevt.value[/a]"]``. The default is all fields that need no argument.
        plugins: further plugins, which parse the events or whose fields are extracted. Each is a plugin, or a pair
            of a plugin and its ``init_config``.
        scap: a capture file whose events, such as system calls, the plugins get. The plugin's source is not opened.
        replay: a file of events that ``falco-plugin run --record`` or ``--json`` has written. The plugins get them with
            their times, and the plugin's source is not opened.
        events: events that the plugins get instead of those of the plugin's source. Each is a mapping or list, which
            becomes JSON, a ``str``, ``bytes``, an :class:`Event`, or a pair of one and its time in nanoseconds or as a
            ``datetime``.
        limit: stop after this many events, async events included. Without a limit the source must end.
        timeout: seconds that the run may take.

    Returns:
        The events.

    Raises:
        RunError: the source failed, or the timeout expired. The message contains the plugin's log with the traceback.
        PluginError: a plugin cannot be built.
        TypeError: ``fields`` or ``plugins`` is not a list, or ``events`` has something that is not an event.

    Example:
        ```python
        def test_each_line_is_an_event(tmp_path):
            (tmp_path / "log").write_bytes(b"one\ntwo\n")
            events = collect("lines.py", str(tmp_path / "log"))
            assert [event.data for event in events] == [b"one", b"two"]
        ```
    """
    ran = run(
        plugin,
        params,
        config=config,
        fields=fields,
        plugins=plugins,
        scap=scap,
        replay=replay,
        events=events,
        limit=limit,
        timeout=timeout,
    )
    if ran.result not in ("eof", "limit"):
        raise RunError(str(ran))
    if limit is not None and len(ran.events) + len(ran.async_events) < limit:
        raise RunError(f"the source ended before {limit} events: {ran}")
    return ran.events


def run(
    plugin: TestedPlugin,
    params: str = "",
    *,
    config: Config = None,
    fields: Sequence[str] | None = None,
    plugins: Sequence[FurtherPlugin] = (),
    set_config: Config = None,
    tables: Sequence[str] = (),
    table_contents: Mapping[str, Any] | None = None,
    scap: str | os.PathLike[str] | None = None,
    replay: str | os.PathLike[str] | None = None,
    events: Iterable[WrittenEvent] | None = None,
    limit: int | None = None,
    timeout: float = 5,
    dump_state: bool = False,
) -> Run:
    """Runs a plugin's event source as :func:`collect` does, and returns events, log and result.

    If the source fails, this is the result and not an exception.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``, as a string or as a mapping, which is passed as JSON.
        fields: the fields to extract from each event, written as in rules, such as
            ``["ka.verb", "jevt.value[/a]"]``. The default is all fields that need no argument.
        plugins: further plugins, which parse the events or whose fields are extracted. Each is a plugin, or a pair
            of a plugin and its ``init_config``.
        set_config: the configuration that ``set_config`` of the plugin gets after init.
        tables: the names of state tables whose entries the result has, such as ``["threads"]``.
        table_contents: entries of the host's table ``threads``: ``{"threads": [{"tid": 1, "comm": "bash"}]}``.
            Sub-tables are lists of entries, too.
        scap: a capture file whose events, such as system calls, the plugins get. The plugin's source is not opened.
        replay: a file of events that ``falco-plugin run --record`` or ``--json`` has written. The plugins get them with
            their times, and the plugin's source is not opened.
        events: events that the plugins get instead of those of the plugin's source. Each is a mapping or list, which
            becomes JSON, a ``str``, ``bytes``, an :class:`Event`, or a pair of one and its time in nanoseconds or as a
            ``datetime``.
        limit: stop after this many events, async events included.
        timeout: seconds that the run may take. After that the source is stopped, and the result is ``timeout``.
        dump_state: at the end, ask the plugin for its state, as Falco does for a capture file. ``Run.state`` has it.

    Raises:
        PluginError: a plugin cannot be built.
        TypeError: ``fields``, ``plugins`` or ``tables`` is not a list, or ``events`` has something that is not an
            event.
        RunError: the source was not closed within ten seconds after the timeout.
    """
    with RunningPlugin(
        plugin,
        params,
        config=config,
        fields=fields,
        plugins=plugins,
        set_config=set_config,
        tables=tables,
        table_contents=table_contents,
        scap=scap,
        replay=replay,
        events=events,
        limit=limit,
        dump_state=dump_state,
    ) as running:
        return running.wait(timeout)
