"""A plugin with one fault: its configuration names the callback and the fault.

Its sources deliver the events ``one``, ``two`` and ``three``, and end. In callbacks that are called for each event, the
fault happens at the second event.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass

from falco_plugin import EOF, Event, Gauge, Plugin, async_events, field, parse, source

HUNDRED_MB = 100_000_000
EVENTS = (b"one", b"two", b"three")
INJECTOR = None


@dataclass
class Config:
    callback: str
    fault: str

    def __post_init__(self):
        global INJECTOR
        INJECTOR = FaultInjector(self.callback, self.fault)
        INJECTOR.at("config", lambda: None)


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


class FaultInjector:
    """Performs the configured fault in the configured callback."""

    def __init__(self, callback, fault):
        self.callback, self.fault = callback, fault
        self.calls = 0
        self.plugin = None
        self.kept = []

    def at(self, callback, normal, second=False, **borrowed):
        """Returns the result of the fault or, without one, of `normal`. `borrowed` are objects of the callback."""
        self.use_kept_objects()
        if callback == self.callback:
            self.calls += 1
            if self.calls == 1 + second:
                returned = getattr(self, self.fault)(borrowed)
                if returned is not NORMAL:
                    return returned
        return normal()

    def log(self, text):
        logging.getLogger("faulty").warning(text)

    # Raises

    def value_error(self, borrowed):
        raise ValueError("broken")

    def keyboard_interrupt(self, borrowed):
        raise KeyboardInterrupt

    def system_exit(self, borrowed):
        raise SystemExit(3)

    def memory_error(self, borrowed):
        raise MemoryError

    def recursion_error(self, borrowed):
        return self.recursion_error(borrowed)

    def huge_error(self, borrowed):
        raise ValueError("x" * HUNDRED_MB)

    def odd_error(self, borrowed):
        raise ValueError("nul \0 surrogate \udcff")

    def unspeakable_error(self, borrowed):
        raise Unspeakable

    # Returns

    def wrong_type(self, borrowed):
        return Event(b"an object of the wrong class")

    def none(self, borrowed):
        return None

    def nul(self, borrowed):
        return self.wrap("a\0b")

    def surrogates(self, borrowed):
        return self.wrap("a\udcffb")

    def huge(self, borrowed):
        """Writes or returns a huge event if the callback delivers events, else returns a huge string."""
        add = {"pull": lambda: borrowed["writer"].write, "next_batch": lambda: borrowed["batch"].append}
        if self.callback in add:
            return add[self.callback]()(bytes(HUNDRED_MB))
        if "generator" in self.callback or self.callback in ("retry", "async_events", "dump_state"):
            return b"x" * HUNDRED_MB
        return self.wrap("x" * HUNDRED_MB)

    def wrap(self, text):
        """Returns a value of the callback's return type that contains the string."""
        return {"progress": (0.5, text), "list_open_params": [text]}.get(self.callback, text)

    # Other faults

    def blocks(self, borrowed):
        time.sleep(0.3)
        return NORMAL

    def calls_itself(self, borrowed):
        batch = source.EventBatch(1)
        try:
            self.instance().next_batch(batch)
        except Exception as error:
            self.log(f"called: {type(error).__name__}: {error}")
        else:
            self.log(f"called: {[event.data for event in batch]}")
        return NORMAL

    def closes(self, borrowed):
        self.instance().close()
        return NORMAL

    def cancels(self, borrowed):
        (borrowed.get("context") or self.instance().context).cancel()
        return NORMAL

    def instance(self):
        """Returns the open instance, or a new instance if none is open."""
        if self.callback in ("generator", "async generator", "retry"):
            self.plugin.opened.wait()
        plugin = self.plugin or Faulty()
        self.plugin = plugin
        if plugin.instance is None:
            plugin.instance = plugin.make("pull")
        return plugin.instance

    def starts_threads(self, borrowed):
        def log():
            self.log("from a thread")

        for index in range(20):
            threading.Thread(target=threading.Event().wait, name=f"left behind {index}").start()
        thread = threading.Thread(target=log)
        thread.start()
        thread.join()
        return NORMAL

    def forks(self, borrowed):
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            self.log(f"the child ended with {status}")
        return NORMAL

    def holds(self, borrowed):
        self.kept = list(borrowed.items())
        return NORMAL

    def use_kept_objects(self):
        kept, self.kept = self.kept, []
        for name, value in kept:
            try:
                self.log(f"held: {name} {USES[name](value)}")
            except Exception as error:
                self.log(f"held: {name} raises {type(error).__name__}: {error}")


def overwrite(view):
    view[:] = b"X" * len(view)
    return "is written over"


def write_in_thread(writer):
    raised = []

    def write():
        try:
            writer.write(b"late")
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    raise raised[0]


USES = {
    "event": lambda event: event.data.decode(),
    "view": overwrite,
    "writer": lambda writer: writer.write(b"late"),
    "writer_elsewhere": write_in_thread,
    "batch": len,
    "payload": lambda payload: payload.clear() or "is emptied",
    "instance": lambda instance: instance.next_batch(source.EventBatch()),
    "context": lambda context: f"is cancelled: {context.cancelled}",
    "attempt": lambda context: f"is cancelled: {context.cancelled}",
    "plugin": lambda plugin: f"is {plugin.name}",
    "capture": lambda capture: capture.every(1, print),
}
NORMAL = object()


class CustomInstance(source.BaseInstance):
    def __init__(self):
        super().__init__()
        self.items = iter(EVENTS)

    def next_batch(self, batch):
        def normal():
            item = next(self.items, None)
            if item is None:
                raise EOF
            batch.append(item)
            return 1

        return INJECTOR.at("next_batch", normal, second=True, batch=batch)

    def close(self):
        super().close()
        INJECTOR.at("close", lambda: None, instance=self, context=self.context)

    def progress(self):
        return INJECTOR.at("progress", lambda: (0.5, "half"), instance=self)


class Faulty(Plugin):
    """Performs one fault"""

    name = "faulty"
    event_source = "faulty"
    id = 999
    config: Config
    instance = None
    opened = threading.Event()

    def init(self):
        self.sent, self.ran = threading.Event(), threading.Event()
        INJECTOR.plugin = self
        INJECTOR.at("init", lambda: None, plugin=self)

    @Gauge.computed("size", every=3600)
    def size(self):
        return INJECTOR.at("gauge", lambda: 3, plugin=self)

    def set_config(self, config):
        INJECTOR.plugin = self
        INJECTOR.at("set_config", lambda: None, plugin=self)

    def destroy(self):
        INJECTOR.at("destroy", lambda: None, plugin=self)

    def open(self, params, context):
        def normal():
            self.wait_for_threads()
            self.opened.clear()
            self.instance = self.make(params, context)
            self.opened.set()
            return self.instance

        return INJECTOR.at("open", normal, context=context)

    def make(self, kind, context=None):
        if kind == "custom":
            return CustomInstance()
        options = {
            "context": context,
            "batch_size": 1,
            "close": lambda: INJECTOR.at("close", lambda: None, instance=instance, context=instance.context),
            "progress": lambda: INJECTOR.at("progress", lambda: (0.5, "half"), instance=instance),
        }
        if kind == "pull":
            items = iter(EVENTS)
            instance = source.PullInstance(lambda context, writer: self.pull(writer, items), **options)
        elif kind == "generator":
            instance = source.IterInstance(self.generator(), **options)
        elif kind == "async generator":
            instance = source.IterInstance(self.async_generator(), **options)
        elif kind == "retry":
            instance = source.IterInstance(self.retried, retry=0.01, **options)
        instance.context.on_cancel(lambda: INJECTOR.at("on_cancel", lambda: None, instance=instance))
        return instance

    def pull(self, writer, items):
        def normal():
            item = next(items, None)
            if item is None:
                raise EOF
            view = writer.reserve(len(item))
            view[:] = item
            writer.commit(len(item))
            INJECTOR.kept = [(name, view if name == "view" else value) for name, value in INJECTOR.kept]

        return INJECTOR.at("pull", normal, second=True, view=None, writer=writer, writer_elsewhere=writer)

    def generator(self):
        for item in EVENTS:
            yield None
            payload = bytearray(item)
            yield INJECTOR.at("generator", lambda: payload, second=True, payload=payload)

    async def async_generator(self):
        for item in EVENTS:
            yield None
            payload = bytearray(item)
            yield INJECTOR.at("async generator", lambda: payload, second=True, payload=payload)

    def retried(self, context):
        for item in EVENTS:
            yield None
            yield INJECTOR.at("retry", lambda: item, second=True, attempt=context)

    def wait_for_threads(self):
        """Waits for the threads of a capture, so that their faults and events come before those of the source."""
        if INJECTOR.callback in ("async_events", "dump_state", "capture_open", "routine", "capture_close"):
            self.sent.wait()
        if INJECTOR.callback == "routine":
            self.ran.wait()

    @parse("pluginevent")
    def parsed(self, event):
        return INJECTOR.at("parse", lambda: None, second=True, event=event)

    @async_events("note")
    def changes(self, context):
        try:
            for item in EVENTS:
                yield INJECTOR.at("async_events", lambda: item, second=True, context=context)
        finally:
            self.sent.set()

    @async_events("note")
    def dump_state(self):
        for item in EVENTS:
            yield INJECTOR.at("dump_state", lambda: item, second=True, plugin=self)

    def capture_open(self, capture):
        capture.every(0.001, self.routine)
        return INJECTOR.at("capture_open", lambda: None, capture=capture)

    def routine(self):
        try:
            return INJECTOR.at("routine", lambda: None, plugin=self)
        finally:
            self.ran.set()

    def capture_close(self, capture):
        return INJECTOR.at("capture_close", lambda: None, capture=capture)

    def event_to_string(self, event):
        return INJECTOR.at("event_to_string", lambda: f"text of {event.data.decode()}", second=True, event=event)

    def list_open_params(self):
        return INJECTOR.at("list_open_params", lambda: ["pull"], plugin=self)

    @field("faulty.payload", desc="The payload")
    def payload(self, event: Event) -> str:
        return INJECTOR.at("field", lambda: event.data.decode(), second=True, event=event)
