"""Tables of a plugin without a host: declaration, mapping, entries."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin import Entry, Event, Plugin, PluginError, Table, added, field, table_field
from falco_plugin._declare import capabilities, tables
from falco_plugin.testing import make_table


class Session(Entry):
    user: str
    requests: int = 1
    is_known: bool = False


class Thread(Entry):
    comm: str
    owner: str = added()
    cwd: str | None = None


class Owners(Plugin):
    name = "owners"
    changed: Table[str, Session] = Table.new("owners_changed", record_changes=True)
    threads: Table[int, Thread] = Table.of("threads")
    sessions: Table[str, Session] = Table.new("owners_sessions")
    numbers: Table[int, Session] = Table.new("owners_numbers")
    flags: Table[bool, Session] = Table.new("owners_flags")

    @field("owners.count", desc="The number of sessions")
    def count(self, event: Event) -> int:
        return len(self.sessions)


@pytest.fixture
def sessions() -> Table[str, Session]:
    return Owners().sessions


def test_table_is_a_mapping(sessions):
    assert not sessions
    sessions["eve"] = Session(user="root", requests=3)
    sessions["bob"] = Session(user="bob")
    assert (len(sessions), "eve" in sessions, "mallory" in sessions) == (2, True, False)
    assert sorted(sessions) == sorted(sessions.keys()) == ["bob", "eve"]
    assert sorted(entry.user for entry in sessions.values()) == ["bob", "root"]
    assert {key: entry.requests for key, entry in sessions.items()} == {"eve": 3, "bob": 1}
    assert sessions["eve"].user == "root"
    assert sessions.get("mallory") is None
    assert sessions.get("mallory", 5) == 5
    with pytest.raises(KeyError, match="mallory"):
        sessions["mallory"]
    del sessions["eve"]
    with pytest.raises(KeyError, match="eve"):
        del sessions["eve"]
    sessions.clear()
    assert len(sessions) == 0


def test_no_entry_has_the_key_none(sessions):
    plugin = Owners()
    for table in (sessions, plugin.numbers, plugin.flags, make_table(Owners, "threads")):
        assert None not in table
        assert table.get(None) is None
        assert table.get(None, 5) == 5
        for use in (table.__getitem__, table.__delitem__):
            with pytest.raises(TypeError, match="must be (str|int|bool), got NoneType"):
                use(None)


def test_changes_of_the_plugin_itself_are_not_recorded(sessions):
    changed = Owners().changed
    changed["eve"] = Session(user="eve")
    changed["eve"].requests += 1
    changed.clear()
    assert changed.changes() == ([], 0)
    for table in (sessions, make_table(Owners, "threads")):
        with pytest.raises(TypeError, match="does not record changes: declare it as Table.new"):
            table.changes()


def test_entry_writes_the_table(sessions):
    sessions["eve"] = Session(user="eve")
    entry = sessions["eve"]
    entry.requests += 1
    entry.is_known = True
    assert (sessions["eve"].requests, sessions["eve"].is_known) == (2, True)
    del sessions["eve"]
    entry.requests = 9
    assert entry.requests == 9, "an entry that was removed stays usable"


def test_assignment_copies_and_replaces(sessions):
    made = Session(user="eve")
    sessions["eve"] = made
    made.requests = 7
    held = sessions["eve"]
    assert held.requests == 1
    sessions["eve"] = made
    assert (held.requests, sessions["eve"].requests) == (1, 7)
    sessions["bob"] = sessions["eve"]
    sessions["bob"].user = "bob"
    assert sessions["eve"].user == "eve"


def test_setdefault_returns_the_entry_of_the_table(sessions):
    first = sessions.setdefault("eve", Session(user="eve"))
    second = sessions.setdefault("eve", Session(user="other"))
    first.requests = 5
    assert (second.user, second.requests) == ("eve", 5)


def test_each_object_has_its_own_tables():
    one, other = Owners(), Owners()
    one.sessions["eve"] = Session(user="eve")
    assert one.sessions is one.sessions
    assert len(other.sessions) == 0


@given(st.integers(-(2**63), 2**63 - 1), st.text(), st.booleans())
def test_values_and_keys_come_back(number, text, flag):
    plugin = Owners()
    plugin.numbers[number] = Session(user=text, requests=number, is_known=flag)
    plugin.sessions[text] = Session(user=text)
    plugin.flags[flag] = Session(user=text)
    written = text.replace("\0", "\ufffd")
    entry = plugin.numbers[number]
    assert (entry.user, entry.requests, entry.is_known) == (written, number, flag)
    assert (plugin.numbers.keys(), plugin.sessions.keys(), plugin.flags.keys()) == ([number], [written], [flag])


def test_surrogates_become_replacement_characters(sessions):
    sessions["a\ud800"] = Session(user="\udfff")
    assert sessions["a\ufffd"].user == "\ufffd"


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda t: t[1], TypeError, "a key of the table owners_sessions must be str, got int"),
        (lambda t: t.get(b"a"), TypeError, "a key of the table owners_sessions must be str, got bytes"),
        (lambda t: t.__contains__(1), TypeError, "must be str, got int"),
        (
            lambda t: t.__setitem__("a", "b"),
            TypeError,
            "an entry of the table owners_sessions must be Session, got str",
        ),
        (lambda t: t.__setitem__("a", Thread(comm="a")), TypeError, "must be Session, got Thread"),
        (lambda t: t.__setitem__("a", Session(user=1)), TypeError, "Session.user must be str, got int"),
        (
            lambda t: t.__setitem__("a", Session(user="", requests=True)),
            TypeError,
            "Session.requests must be int, got bool",
        ),
        (
            lambda t: t.__setitem__("a", Session(user="", requests=2**63)),
            ValueError,
            r"Session.requests must be -9223372036854775808 to 9223372036854775807 \(int64\), got 9223372036854775808",
        ),
    ],
)
def test_wrong_types_are_refused(sessions, action, error, message):
    with pytest.raises(error, match=message):
        action(sessions)
    assert len(sessions) == 0


def test_integer_key_out_of_range_is_refused():
    with pytest.raises(ValueError, match="a key of the table owners_numbers must be"):
        Owners().numbers.get(2**64)


def test_entry_refuses_unknown_and_missing_attributes():
    with pytest.raises(TypeError, match=r"Session has no attribute usr \(attributes: user, requests, is_known\)"):
        Session(usr="eve")
    with pytest.raises(TypeError, match=r"Session\(\) lacks user: pass each attribute that has no default by its name"):
        Session()
    with pytest.raises(TypeError, match=r"Nested.inner is a sub-table, .*: Table\[int, Session\] . None = None"):
        Nested()
    entry = Session(user="eve")
    with pytest.raises(AttributeError):
        entry.usr = "bob"
    with pytest.raises(AttributeError, match="the field user of an entry cannot be deleted"):
        del entry.user
    assert repr(entry) == "Session(user='eve', requests=1, is_known=False)"


def test_entry_in_a_table_refuses_wrong_types(sessions):
    entry = sessions.setdefault("eve", Session(user="eve"))
    with pytest.raises(TypeError, match="Session.user must be str, got int"):
        entry.user = 5
    assert entry.user == "eve"


def test_subclass_of_an_entry_class_has_all_attributes():
    class Longer(Session):
        comment: str = ""

    entry = Longer(user="eve", comment="x")
    assert repr(entry) == "Longer(user='eve', requests=1, is_known=False, comment='x')"


def test_threads_make_one_entry_for_a_key(sessions):
    start = threading.Barrier(4)
    kept: list[Session] = []

    def count() -> None:
        start.wait()
        for number in range(200):
            kept.append(sessions.setdefault(str(number), Session(user="")))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(sessions), len(kept)) == (200, 800)


def test_plugin_object_is_collected_with_its_tables():
    import weakref

    plugin = Owners()
    plugin.sessions["eve"] = Session(user="eve")
    gone = weakref.ref(plugin)
    del plugin
    gc.collect()
    assert gone() is None


def test_table_of_a_host_is_not_open_without_one():
    with pytest.raises(PluginError, match="Owners.threads: the table threads is open only in a plugin that a host has"):
        Owners().threads.get(1)


def test_made_table_has_no_subtables():
    class Tree(Entry):
        inner: Table[int, Session] | None = None

    class Trees(Owners):
        trees: Table[int, Tree] = Table.of("trees")

    globals()["Tree"] = Tree
    table = make_table(Trees, "trees")
    table[1] = Tree()
    with pytest.raises(AttributeError, match=r"Tree.inner cannot be read: the tables that make_table returns have no"):
        _ = table[1].inner


def test_table_of_a_host_can_be_made_for_a_test():
    plugin = Owners()
    plugin.threads = make_table(Owners, "threads")
    plugin.threads[1] = Thread(comm="bash", owner="eve")
    assert (plugin.threads[1].owner, plugin.threads[1].cwd) == ("eve", "")
    with pytest.raises(PluginError, match="Owners declares no table with the name 'other'"):
        make_table(Owners, "other")


# Declarations that are refused


def declare(**namespace: Any) -> Any:
    annotations = namespace.pop("annotations", {})
    members = {"name": "refused", "count": Owners.count, "__annotations__": annotations, **namespace}
    return type("Refused", (Plugin,), {"__module__": __name__, **members})


class Strange(Entry):
    data: bytes


class Nested(Entry):
    inner: Table[int, Session]


class AddedNested(Entry):
    inner: Table[int, Session] = added()


REFUSED = {
    "no annotation": ({}, Table.new("a"), "Refused.table has no annotation: write table: Table"),
    "another annotation": ("int", Table.new("a"), r"must be annotated with Table\[K, E\]"),
    "key": (Table[float, Session], Table.new("a"), "the keys of a table are int, str or bool, not float"),
    "entry": (Table[int, str], Table.new("a"), "the entries of a table are a subclass of Entry, not str"),
    "unknown name": ("Table[int, Unknown]", Table.new("a"), "the annotation 'Table.int, Unknown.' cannot be evaluated"),
    "optional": ("Table[int, Session] | None", Table.of("a"), "declare it with optional=True"),
    "type of a field": (Table[int, Strange], Table.of("a"), "Strange.data: a field is str, int, bool or Table"),
    "own sub-table": (
        Table[int, Nested],
        Table.new("a"),
        "Nested.inner: a table of the plugin itself cannot have sub-tables",
    ),
    "added sub-table": (Table[int, AddedNested], Table.of("a"), "hosts do not allow plugins to add sub-tables"),
    "own added": (Table[int, Thread], Table.new("a"), r"Thread.owner: .* remove added\(\)"),
}


@pytest.mark.parametrize(("annotation", "table", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_declaration_is_refused(annotation, table, message):
    plugin = declare(table=table, annotations={"table": annotation} if annotation else {})
    with pytest.raises(PluginError, match=message):
        capabilities.check(plugin())


def test_table_without_fields_is_refused():
    class Tables(Plugin):
        name = "tables"
        sessions: Table[str, Session] = Table.new("s")

        def open(self, params: str) -> list[bytes]:
            return []

    globals()["Tables"] = Tables
    with pytest.raises(PluginError, match="hosts pass tables only to plugins that have fields or parse events"):
        capabilities.check(Tables())


def test_two_tables_with_one_name_are_refused():
    plugin = declare(
        one=Table.new("a"), two=Table.new("a"), annotations=dict.fromkeys(("one", "two"), Table[int, Session])
    )
    with pytest.raises(PluginError, match="Refused.two: the table a is declared twice, also as one"):
        tables.declared_by(plugin)


@pytest.mark.parametrize("name", ["", "a\0b", 5])
def test_name_of_a_table_is_checked(name):
    with pytest.raises(TypeError, match="the name of a table must be a string that is not empty"):
        Table.of(name)


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({"__annotations__": {"_private": "int"}}, "the name of a field must not begin with '_'"),
        ({"__init__": lambda self: None}, "__init__ would also be called for entries in tables"),
    ],
)
def test_entry_class_is_checked(namespace, message):
    with pytest.raises(TypeError, match=message):
        type(Entry)("Wrong", (Entry,), {"__module__": __name__, **namespace})


def test_entry_class_has_one_base():
    with pytest.raises(TypeError, match="a class of entries has one base class"):
        type("Wrong", (Session, Thread), {})
    with pytest.raises(TypeError, match="Wrong.user is declared in a base class already"):

        class Wrong(Session):
            user: str


# table_field


def check_field(
    table: str, attribute: str, sources: tuple[str, ...] = ("syscall",), types: tuple[str, ...] = (), **options: Any
) -> Any:
    declared = vars(Owners)[table]
    members = {
        "made": table_field("a.field", declared, attribute, desc="x", **options),
        "extract_event_sources": sources,
        "extract_event_types": types,
        "__module__": __name__,
    }
    return capabilities.check(type("Reader", (Owners,), members)()).fields[-1]


@pytest.mark.parametrize(
    ("table", "attribute", "kind"),
    [("threads", "owner", "string"), ("numbers", "requests", "uint64"), ("numbers", "is_known", "bool")],
)
def test_table_field_has_the_type_of_the_attribute(table, attribute, kind):
    found = check_field(table, attribute)
    assert (found.describe()["type"], found.table.table, found.table.key) == (kind, table, None)


@pytest.mark.parametrize("options", [{"sources": ("shop", "syscall")}, {"sources": (), "types": ("execve",)}])
def test_table_field_by_thread_needs_events_of_system_calls(options):
    assert check_field("threads", "owner", **options).table.key is None


def test_table_field_can_have_a_key():
    assert check_field("numbers", "user", sources=(), key=Owners.count).table.key == "owners.count"


@pytest.mark.parametrize(
    ("table", "attribute", "options", "message"),
    [
        ("threads", "ownr", {}, r"Thread has no attribute 'ownr' \(attributes: comm, owner, cwd\)"),
        (
            "sessions",
            "user",
            {},
            "the keys of the table owners_sessions are str: set key to the field that has the key",
        ),
        (
            "sessions",
            "user",
            {"key": Owners.count},
            "key is the field owners.count of the type int, but the keys of the",
        ),
        ("sessions", "user", {"key": "owners.count"}, "key must be a field that the class declares before this one"),
        (
            "threads",
            "owner",
            {"sources": ()},
            "its key is the id of the event's thread, which only system calls have, but Reader has no fields of system "
            r"calls: add extract_event_sources = \('syscall',\), or set key to the field that has the key",
        ),
        ("numbers", "user", {"sources": ("shop",)}, r".*: add extract_event_sources = \('shop', 'syscall'\), or set"),
    ],
)
def test_wrong_table_field_is_refused(table, attribute, options, message):
    with pytest.raises(PluginError, match=f"field a.field: {message}"):
        check_field(table, attribute, **options)


def test_table_field_needs_a_declared_table():
    with pytest.raises(TypeError, match="field a.b: table must be a table that the class declares"):
        table_field("a.b", Owners().sessions, "user", desc="x")
