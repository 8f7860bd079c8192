"""The method `open` and its context."""

from __future__ import annotations

import pytest
from support.events import EOF, TIMEOUT

CONTEXT = """
    from falco_plugin import EOF, Plugin, Timeout, source

    class Contexts(Plugin):
        name = "contexts"

        def open(self, params{parameters}):
            context = {context}
            log = self.log

            def pull(inner, writer):
                raise Timeout

            if context is not None:
                context.on_cancel(lambda: log.info("outer cancelled"))
            close = lambda: log.info("closed, cancelled: %s", instance.context.cancelled)
            instance = source.PullInstance(pull, close=close)
            instance.context.on_cancel(lambda: log.info("inner cancelled"))
            if params == "cancel":
                context.cancel()
            return instance
"""


@pytest.mark.parametrize(
    ("parameters", "context"),
    [(", context", "context"), (", context, /", "context"), (", *rest", "rest[0]")],
    ids=["context", "positional-only", "variadic"],
)
def test_close_cancels_context_of_open(load, parameters: str, context: str) -> None:
    library = load(CONTEXT.format(parameters=parameters, context=context))
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
        assert not [text for _, text in library.logs if "cancelled" in text]
    found = [text for _, text in library.logs if "cancelled" in text]
    assert sorted(found[:2]) == ["inner cancelled", "outer cancelled"]
    assert found[2:] == ["closed, cancelled: True"], "the contexts are cancelled before the close callback runs"


@pytest.mark.parametrize("parameters", ["", ", *, later=None", ", **options"])
def test_open_may_take_only_params(load, parameters: str) -> None:
    library = load(CONTEXT.format(parameters=parameters, context="None"))
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
    assert [text for _, text in library.logs if "cancelled" in text] == ["inner cancelled", "closed, cancelled: True"]


@pytest.mark.parametrize(
    "replaced",
    [
        "functools.wraps(Contexts.open)(lambda *all: Contexts.undecorated(*all))",
        "functools.partialmethod(Contexts.open)",
        "staticmethod(functools.partial(Contexts.open, Contexts()))",
    ],
    ids=["wrapped", "partial method", "partial"],
)
@pytest.mark.parametrize("parameters", ["", ", context"])
def test_decorated_open_keeps_its_signature(load, replaced: str, parameters: str) -> None:
    decoration = f"\n    import functools\n\n    Contexts.undecorated = Contexts.open\n    Contexts.open = {replaced}\n"
    library = load(CONTEXT.format(parameters=parameters, context="context" if parameters else "None") + decoration)
    with library.opened() as instance:
        assert instance.next_batch() == (TIMEOUT, [])
    assert ("outer cancelled" in [text for _, text in library.logs]) == bool(parameters)


def test_cancelled_context_of_open_ends_source(load) -> None:
    with load(CONTEXT.format(parameters=", context", context="context")).opened("cancel") as instance:
        assert instance.next_batch() == (EOF, [])


def test_failed_open_cancels_context(load) -> None:
    library = load("""
        from falco_plugin import Plugin

        class Half(Plugin):
            name = "half"

            def open(self, params, context):
                context.on_cancel(lambda: self.log.info("stopped"))
                raise ValueError("half open")
    """)
    with pytest.raises(AssertionError, match="half open"), library.opened():
        pass
    assert (6, "stopped") in library.logs


def test_custom_batch_limits_events(load) -> None:
    library = load("""
        from falco_plugin import EOF, Plugin, source

        class Batches(Plugin):
            name = "batches"

            def open(self, params):
                items = iter(range(7))

                def pull(context, writer):
                    for item in items:
                        writer.write(b"%d" % item)
                        return
                    raise EOF

                instance = source.PullInstance(pull)
                instance.events = source.EventBatch(3, 10)
                return instance
    """)
    with library.opened() as instance:
        assert [len(instance.next_batch()[1]) for _ in range(4)] == [3, 3, 1, 0]
