"""Objects that several threads use at the same time, with and without the GIL."""

from __future__ import annotations

import gc
import threading
from collections import Counter

import pytest

from falco_plugin import Context, Event
from falco_plugin._runtime.repeated_failures import RepeatedFailures
from falco_plugin.source import EOF, EventBatch, PluginError, PullInstance, PushInstance, Timeout, channel

THREADS = 4


def run_together(*functions):
    """Runs functions on threads that begin at the same time. Raises the first exception."""
    start = threading.Barrier(len(functions))
    errors = []

    def run(function):
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def received(instance):
    """Yields the payloads of an instance until its end."""
    batch = EventBatch(1000)
    while True:
        batch.clear()
        try:
            instance.next_batch(batch)
        except Timeout:
            continue
        except EOF:
            return
        yield from (batch[index].data for index in range(len(batch)))


def test_one_sender_takes_events_of_all_threads():
    sender, receiver = channel()
    instance = PushInstance(receiver)
    got = []

    def send(name):
        for number in range(300):
            sender.send(b"%d:%d" % (name, number))
            sender.send_many([b"%d:%d.%d" % (name, number, each) for each in range(3)])

    def send_all():
        run_together(*(lambda name=name: send(name) for name in range(THREADS)))
        sender.close()

    run_together(send_all, lambda: got.extend(received(instance)))
    expected = [b"%d:%d" % (name, number) for name in range(THREADS) for number in range(300)]
    expected += [b"%b.%d" % (one, each) for one in expected for each in range(3)]
    assert Counter(got) == Counter(expected)
    for name in map(str, range(THREADS)):
        own = [data for data in got if data.startswith(name.encode() + b":") and b"." not in data]
        assert own == [b"%b:%d" % (name.encode(), number) for number in range(300)], "the order of each thread is kept"


def test_list_may_change_while_it_is_sent():
    sender, receiver = channel()
    instance = PushInstance(receiver)
    shared = [b"first"] * 200
    got = []

    def send():
        for _ in range(100):
            with sender.clone() as own:
                own.send_many(shared)

    def change():
        for number in range(3000):
            shared.append(b"more")
            shared.insert(0, b"other")
            del shared[number % 100], shared[-1]
            if number % 100 == 0:
                gc.collect()

    def send_all():
        run_together(send, send, change)
        sender.close()

    run_together(send_all, lambda: got.extend(received(instance)))
    assert len(got) >= 2 * 100 * 100
    assert set(got) <= {b"first", b"more", b"other"}


def test_batch_takes_events_of_all_threads():
    batch = EventBatch(batch_size=100_000)

    def append(name):
        for number in range(300):
            batch.append(b"%d:%d" % (name, number))
            batch.append(bytearray(b"%d;%d" % (name, number)))
            batch.extend([b"%d.%d" % (name, number)] * 3)

    def read():
        for _ in range(300):
            if len(batch):
                assert batch[-1].data
            assert not batch.full
            assert "events=" in repr(batch)

    run_together(read, *(lambda name=name: append(name) for name in range(THREADS)))
    expected = Counter()
    for name in range(THREADS):
        for number in range(300):
            expected[b"%d:%d" % (name, number)] += 1
            expected[b"%d;%d" % (name, number)] += 1
            expected[b"%d.%d" % (name, number)] += 3
    assert Counter(batch[index].data for index in range(len(batch))) == expected


def test_only_one_thread_gets_writer_of_batch():
    batch = EventBatch(batch_size=100_000)
    written = []

    def write(name):
        for _ in range(200):
            try:
                with batch.writer() as writer:
                    writer.write(b"%d" % name)
                    writer.write(b"!")
            except PluginError as error:
                assert "a writer of this batch is open" in str(error)
            else:
                written.append(name)

    run_together(*(lambda name=name: write(name) for name in range(THREADS)))
    assert Counter(batch[index].data for index in range(len(batch))) == Counter(b"%d!" % name for name in written)


def test_buffer_may_change_while_it_is_sent():
    memory = bytearray(b"a" * 4096)
    batch = EventBatch(batch_size=100_000)
    stopped = threading.Event()

    def change():
        while not stopped.is_set():
            memory[:] = b"b" * 4096
            try:
                memory.extend(b"c")
                memory.pop()
            except BufferError:
                # The buffer is in use just now.
                pass
            memory[: len(memory)] = b"a" * len(memory)

    def append():
        try:
            for _ in range(200):
                batch.append(memory)
        finally:
            stopped.set()

    run_together(append, change)
    found = [batch[index].data for index in range(len(batch))]
    assert len(found) == 200
    assert all(len(data) >= 4096 and set(data) <= set(b"abc\0") for data in found)


def test_reserved_memory_may_change_while_it_is_committed():
    batch = EventBatch(batch_size=100_000)
    kept = []
    stopped = threading.Event()

    def change():
        while not stopped.is_set():
            if kept:
                memory = kept[-1]
                try:
                    memory[:] = b"x" * 5000
                    memory.clear()
                except (BufferError, ValueError):
                    # A view of it exists just now.
                    pass

    def write():
        try:
            for _ in range(200):
                with batch.writer() as writer, writer.reserve(4096) as view:
                    view[:] = b"y" * 4096
                    kept[:] = [view.obj]
                    view.release()
                    writer.commit(4096)
        finally:
            stopped.set()

    run_together(write, change)
    assert len(batch) == 200
    assert all(set(batch[index].data) <= set(b"xy\0") for index in range(200))


def test_event_is_decoded_to_one_object():
    for number in range(100):
        event = Event(b'{"a": [1, 2, {"b": %d}]}' % number)
        found = []
        run_together(*[lambda event=event, found=found: found.append((event.json, event.data, event.text))] * THREADS)
        assert len({id(decoded) for decoded, _, _ in found}) == 1
        assert found[0][0] == {"a": [1, 2, {"b": number}]}
        assert all((data, text) == (event.data, event.text) for _, data, text in found)


def test_each_callback_of_context_runs_once():
    for _ in range(100):
        context = Context()
        called = []
        add = [lambda name=name: context.on_cancel(lambda: called.append(name)) for name in range(THREADS)]
        run_together(*add, context.cancel, context.cancel)
        assert sorted(called) == list(range(THREADS))


def test_one_thread_at_a_time_runs_pull_function():
    running = []

    def pull(context, writer):
        running.append(None)
        assert len(running) == 1
        writer.write(b"x")
        running.pop()

    instance = PullInstance(pull, timeout=60)
    refused = []

    def fill():
        batch = EventBatch(20)
        for _ in range(50):
            try:
                instance.next_batch(batch)
            except PluginError as error:
                assert "already running" in str(error)
                refused.append(error)
            batch.clear()

    run_together(*[fill] * THREADS)
    assert len(refused) < THREADS * 50


@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
def test_garbage_collection_leaves_instance_in_use_alone(close):
    class Puller:
        def pull(self, context, writer):
            writer.write(b"x")

    def use():
        for _ in range(100):
            puller = Puller()
            # A cycle, which only the garbage collector breaks.
            puller.instance = PullInstance(puller.pull, timeout=0)
            batch = EventBatch()
            assert puller.instance.next_batch(batch) == 1
            if close:
                puller.instance.close()

    # Without the objects of all other tests, which would take most of the time.
    gc.freeze()
    try:
        run_together(use, use, use, lambda: [gc.collect() for _ in range(50)])
    finally:
        gc.unfreeze()


def test_repeated_failures_are_counted_exactly(caplog):
    failures = RepeatedFailures("field %s", "field %s is absent", "field %s was absent %d times", {})
    error = ValueError("no value")
    run_together(*[lambda: [failures.add("f", error) for _ in range(250)]] * THREADS)
    failures.log_rest()
    lines = [record.getMessage().partition("\n")[0] for record in caplog.records]
    assert sorted(line for line in lines if "times" in line) == [
        f"field f was absent {count} times: ValueError" for count in (10, 100, 1000)
    ]
    assert len(lines) == 4
