"""A plugin that misbehaves once: its configuration names the callback and the fault.

Its sources make the events ``one``, ``two`` and ``three``, and end. Callbacks that are called for every event misbehave
at the second event.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass

from falco_plugin import EOF, Event, Plugin, field, source

HUNDRED_MB = 100_000_000
EVENTS = (b"one", b"two", b"three")
MISCHIEF = None


@dataclass
class Config:
    callback: str
    fault: str

    def __post_init__(self):
        global MISCHIEF
        MISCHIEF = Mischief(self.callback, self.fault)
        MISCHIEF.at("config", lambda: None)


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


class Mischief:
    """Performs the configured fault in the configured callback."""

    def __init__(self, callback, fault):
        self.callback, self.fault = callback, fault
        self.calls = 0
        self.plugin = None
        self.held = []

    def at(self, callback, proper, second=False, **held):
        """Returns the result of a callback, usually that of `proper`. `held` are borrowed objects."""
        self.use_what_is_held()
        if callback == self.callback:
            self.calls += 1
            if self.calls == 1 + second:
                returned = getattr(self, self.fault)(held)
                if returned is not PROPER:
                    return returned
        return proper()

    def log(self, text):
        logging.getLogger("faulty").warning(text)

    # Raises

    def value_error(self, held):
        raise ValueError("broken")

    def keyboard_interrupt(self, held):
        raise KeyboardInterrupt

    def system_exit(self, held):
        raise SystemExit(3)

    def memory_error(self, held):
        raise MemoryError

    def recursion_error(self, held):
        return self.recursion_error(held)

    def huge_error(self, held):
        raise ValueError("x" * HUNDRED_MB)

    def odd_error(self, held):
        raise ValueError("nul \0 surrogate \udcff")

    def unspeakable_error(self, held):
        raise Unspeakable

    # Returns

    def wrong_type(self, held):
        return Event(b"an object of the wrong class")

    def none(self, held):
        return None

    def nul(self, held):
        return self.holding("a\0b")

    def surrogates(self, held):
        return self.holding("a\udcffb")

    def huge(self, held):
        """An event, if the callback makes events, else a string."""
        add = {"pull": lambda: held["writer"].write, "next_batch": lambda: held["batch"].append}
        if self.callback in add:
            return add[self.callback]()(bytes(HUNDRED_MB))
        if "generator" in self.callback or self.callback == "retry":
            return bytes(HUNDRED_MB)
        return self.holding("x" * HUNDRED_MB)

    def holding(self, text):
        """A value of the callback's type that contains a string."""
        return {"progress": (0.5, text), "list_open_params": [text]}.get(self.callback, text)

    # Behaves

    def blocks(self, held):
        time.sleep(0.3)
        return PROPER

    def calls_itself(self, held):
        batch = source.EventBatch(1)
        try:
            self.instance().next_batch(batch)
        except Exception as error:
            self.log(f"called: {type(error).__name__}: {error}")
        else:
            self.log(f"called: {[event.data for event in batch]}")
        return PROPER

    def closes(self, held):
        self.instance().close()
        return PROPER

    def cancels(self, held):
        (held.get("context") or self.instance().context).cancel()
        return PROPER

    def instance(self):
        """The open source, or one that the plugin opens itself if none is open."""
        if self.callback in ("generator", "async generator", "retry"):
            self.plugin.opened.wait()
        plugin = self.plugin or Faulty()
        self.plugin = plugin
        if plugin.instance is None:
            plugin.instance = plugin.make("pull")
        return plugin.instance

    def starts_threads(self, held):
        def log():
            self.log("from a thread")

        for index in range(20):
            threading.Thread(target=threading.Event().wait, name=f"left behind {index}").start()
        thread = threading.Thread(target=log)
        thread.start()
        thread.join()
        return PROPER

    def forks(self, held):
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            self.log(f"the child ended with {status}")
        return PROPER

    def holds(self, held):
        self.held = list(held.items())
        return PROPER

    def use_what_is_held(self):
        held, self.held = self.held, []
        for name, thing in held:
            try:
                self.log(f"held: {name} {USES[name](thing)}")
            except Exception as error:
                self.log(f"held: {name} raises {type(error).__name__}: {error}")


def write_over(view):
    view[:] = b"X" * len(view)
    return "is written over"


def in_thread(writer):
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
    "view": write_over,
    "writer": lambda writer: writer.write(b"late"),
    "writer_elsewhere": in_thread,
    "batch": len,
    "payload": lambda payload: payload.clear() or "is emptied",
    "instance": lambda instance: instance.next_batch(source.EventBatch()),
    "context": lambda context: f"is cancelled: {context.cancelled}",
    "attempt": lambda context: f"is cancelled: {context.cancelled}",
    "plugin": lambda plugin: f"is {plugin.name}",
}
PROPER = object()


class Own(source.BaseInstance):
    def __init__(self):
        super().__init__()
        self.items = iter(EVENTS)

    def next_batch(self, batch):
        def proper():
            item = next(self.items, None)
            if item is None:
                raise EOF
            batch.append(item)
            return 1

        return MISCHIEF.at("next_batch", proper, second=True, batch=batch)

    def close(self):
        super().close()
        MISCHIEF.at("close", lambda: None, instance=self, context=self.context)

    def progress(self):
        return MISCHIEF.at("progress", lambda: (0.5, "half"), instance=self)


class Faulty(Plugin):
    """Misbehaves once"""

    name = "faulty"
    event_source = "faulty"
    id = 999
    config: Config
    instance = None
    opened = threading.Event()

    def init(self):
        MISCHIEF.plugin = self
        MISCHIEF.at("init", lambda: None, plugin=self)

    def destroy(self):
        MISCHIEF.at("destroy", lambda: None, plugin=self)

    def open(self, params, context):
        def proper():
            self.opened.clear()
            self.instance = self.make(params, context)
            self.opened.set()
            return self.instance

        return MISCHIEF.at("open", proper, context=context)

    def make(self, kind, context=None):
        if kind == "own":
            return Own()
        options = {
            "context": context,
            "batch_size": 1,
            "close": lambda: MISCHIEF.at("close", lambda: None, instance=instance, context=instance.context),
            "progress": lambda: MISCHIEF.at("progress", lambda: (0.5, "half"), instance=instance),
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
        instance.context.on_cancel(lambda: MISCHIEF.at("on_cancel", lambda: None, instance=instance))
        return instance

    def pull(self, writer, items):
        def proper():
            item = next(items, None)
            if item is None:
                raise EOF
            view = writer.reserve(len(item))
            view[:] = item
            writer.commit(len(item))
            MISCHIEF.held = [(name, view if name == "view" else thing) for name, thing in MISCHIEF.held]

        return MISCHIEF.at("pull", proper, second=True, view=None, writer=writer, writer_elsewhere=writer)

    def generator(self):
        for item in EVENTS:
            yield None
            payload = bytearray(item)
            yield MISCHIEF.at("generator", lambda: payload, second=True, payload=payload)

    async def async_generator(self):
        for item in EVENTS:
            yield None
            payload = bytearray(item)
            yield MISCHIEF.at("async generator", lambda: payload, second=True, payload=payload)

    def retried(self, context):
        for item in EVENTS:
            yield None
            yield MISCHIEF.at("retry", lambda: item, second=True, attempt=context)

    def event_to_string(self, event):
        return MISCHIEF.at("event_to_string", lambda: f"text of {event.data.decode()}", second=True, event=event)

    def list_open_params(self):
        return MISCHIEF.at("list_open_params", lambda: ["pull"], plugin=self)

    @field("faulty.payload", desc="The payload")
    def payload(self, event: Event) -> str:
        return MISCHIEF.at("field", lambda: event.data.decode(), second=True, event=event)
