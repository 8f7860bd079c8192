"""A plugin with tables, parse methods, async events and captures. The program of an event names an action."""

from falco_plugin import AsyncEvent, Entry, Event, Plugin, Table, added, async_events, parse


class Argument(Entry):
    value: str


class Thread(Entry):
    comm: str
    uid: int
    args: Table[int, Argument] | None = None
    owner: str = added()


class Session(Entry):
    user: str


class Stateful(Plugin):
    """Has state"""

    name = "stateful"
    threads: Table[int, Thread] = Table.of("threads")
    sessions: Table[str, Session] = Table.new("stateful_sessions")

    def init(self):
        self.kept = None

    @parse("execve")
    def parsed(self, event: Event):
        action = event.params["exe"]
        try:
            found = ACTIONS[action](self, event) if action in ACTIONS else action
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        self.log.warning("%s", found)

    @async_events("note")
    def changes(self):
        for number in range(2):
            try:
                yield AsyncEvent("note", b"%d" % number)
            except Exception as error:
                self.log.warning("%s: %s", type(error).__name__, error)

    @async_events("state")
    def dump_state(self):
        yield AsyncEvent("state", b"all")

    def capture_open(self, capture):
        self.log.warning("capture_open")
        capture.every(3600, print)

    def capture_close(self, capture):
        self.log.warning("capture_close")


# An entry has a name where a call can fail. Otherwise it would be released while the exception is raised, and the host
# of the tests runs in the same interpreter.


def read(plugin, event):
    thread = plugin.threads[1]
    return thread.comm


def read_argument(plugin, event):
    thread = plugin.threads[1]
    arguments = thread.args
    return arguments[0].value


def change(plugin, event):
    thread = plugin.threads[1]
    thread.comm = "changed"


def add(plugin, event):
    plugin.threads[2] = Thread(comm="new", uid=1, owner="nobody")


def remove(plugin, event):
    del plugin.threads[1]


def keep(plugin, event):
    plugin.kept = plugin.threads[1]
    return "kept"


ACTIONS = {
    "get": lambda plugin, event: plugin.threads.get(1),
    "read": read,
    "size": lambda plugin, event: len(plugin.threads),
    "values": lambda plugin, event: plugin.threads.values(),
    "subtable": read_argument,
    "change": change,
    "add": add,
    "remove": remove,
    "clear": lambda plugin, event: plugin.threads.clear(),
    "keep": keep,
    "use kept": lambda plugin, event: plugin.kept.comm,
    "pid": lambda plugin, event: event.params["pid"],
    "names": lambda plugin, event: len(event.params),
}
