"""Processes that the plugin or the host forks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest
from support.hosts import cycle_payloads, environment, native_lines, native_path, run_c_host, run_cycle
from support.libraries import Build, build_plugin, simple_plugin

ENDED = "falco-plugin: a process that the plugin forked returned to the code of its host"


def run_script(library: Path, *calls: str) -> list[dict]:
    """Returns the results of calls in the C host, which must exit with status 0."""
    ran = run_c_host("script", library, "", "\n".join(calls), env=environment(HOST_TIMEOUTS="300"))
    assert ran.status == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.lines


def test_forked_child_gets_errors_and_parent_continues(build: Build) -> None:
    # A thread holds the GIL nearly all the time. A child that waited for the GIL would wait indefinitely.
    library = build(
        simple_plugin(
            "busy",
            """
        def init(self):
            import threading

            def compute():
                while True:
                    pass

            threading.Thread(target=compute, daemon=True).start()

        def list_open_params(self):
            return []

        def set_config(self, config):
            pass
    """,
        )
    )
    calls = [
        "metrics",
        "configure x",
        "take",
        "suggest",
        "progress",
        "close",
        "open",
        "take",
        "close",
        "destroy",
        "init",
        "destroy",
    ]
    run_lines = run_script(library, "init", "open", "fork", *calls)
    lines = [line for line in run_lines if "call" in line]
    child = [(line["call"], line["end"], line["error"]) for line in lines if line["process"] == "child"]
    failed = ("take", "suggest", "configure", "open", "init")
    calls = [call.partition(" ")[0] for call in calls]
    # Without an open source, the script skips "take" and "close".
    assert [(call, end) for call, end, _ in child] == [
        (call, "failure" if call in failed else None) for call in [*calls[:7], *calls[9:]]
    ]
    for call, _, error in child:
        assert (error or "").startswith("this process was forked from the one in which") == (call in failed)
    of_child, of_parent = [line["metrics"] for line in run_lines if "metrics" in line]
    assert of_child == {}
    assert of_parent["sdk_events_delivered"] == 0
    parent = [(line["call"], line["end"]) for line in lines if line["process"] == "parent"]
    assert parent == [(call, "eof" if call == "take" else None) for call in calls]


@pytest.mark.parametrize(
    "work",
    [
        "subprocess.run(['true'], check=True)",
        "subprocess.run(['true'], check=True, preexec_fn=lambda: None)",
        "subprocess.run(['true'], check=True, start_new_session=True, close_fds=False)",
    ],
)
def test_subprocess_of_plugin_runs_unchanged(build: Build, work: str) -> None:
    library = build(simple_plugin("starts", f"def init(self):\n    import subprocess\n    {work}\n"))
    ran = run_cycle(library)
    assert (cycle_payloads(ran), ran.status, ran.stderr) == ([b"one", b"two"], 0, "")


WORKERS = """
    import multiprocessing

    from falco_plugin import Context, Plugin, source


    def work(queue, sender):
        context = Context()
        context.on_cancel(lambda: queue.put("cancelled"))
        context.cancel()
        for send in (lambda: sender.send(b"lost"), lambda: sender.send_many([b"lost"]), sender.flush):
            try:
                send()
            except Exception as error:
                queue.put(f"{type(error).__name__}: {error}")


    class Workers(Plugin):
        name = "workers"

        def open(self, params):
            sender, receiver = source.channel()
            fork = multiprocessing.get_context("fork")
            queue = fork.Queue()
            worker = fork.Process(target=work, args=(queue, sender))
            worker.start()
            for _ in range(4):
                sender.send(queue.get().encode())
            worker.join()
            sender.send(b"exit %d" % worker.exitcode)
            sender.close()
            return source.PushInstance(receiver)
"""


def test_multiprocessing_worker_runs_but_cannot_send(build: Build) -> None:
    ran = run_cycle(build(WORKERS))
    cancelled, *refused, exited = cycle_payloads(ran)
    assert (cancelled, exited, ran.stderr) == (b"cancelled", b"exit 0", "")
    for text in refused:
        assert text.startswith(b"PluginError: this process was forked from the process of the source")


def test_ending_thread_of_child_runs_no_host_cleanup(build: Build) -> None:
    library = build(
        simple_plugin(
            "threads",
            """
        def init(self):
            import os, threading

            children = []

            def fork():
                children.append(os.fork())

            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
            self.log.info("exit %d", os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
    """,
        )
    )
    ran = run_cycle(library)
    assert ran.stderr.startswith(ENDED)
    assert "exit 1" in [log["text"] for log in ran.values("log")]
    assert cycle_payloads(ran) == [b"one", b"two"]


def test_log_of_child_goes_to_stderr(build: Build) -> None:
    library = build(
        simple_plugin(
            "logs",
            """
        def init(self):
            import os

            child = os.fork()
            self.log.info("logged by the %s", "parent" if child else "child")
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
    """,
        )
    )
    ran = run_cycle(library)
    assert [log["text"] for log in ran.values("log") if "logged by the" in log["text"]] == ["logged by the parent"]
    assert ran.stderr == "logged by the child\n"


SIGNALS = """
    import os, signal, time
    import multiprocessing

    from falco_plugin import Plugin

    def sleep():
        time.sleep(600)

    def square(number):
        return number * number

    class Signals(Plugin):
        name = event_source = "signals"

        def open(self, params):
            # Block the signals, as threads of hosts do.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})
            fork = multiprocessing.get_context("fork")
            yield from getattr(self, params)(fork)

        def terminate(self, fork):
            worker = fork.Process(target=sleep)
            worker.start()
            worker.terminate()
            worker.join()
            yield b"%d" % worker.exitcode

        def pool(self, fork):
            with fork.Pool(2) as pool:
                yield b"%d" % sum(pool.map(square, range(4)))

        def states(self, fork):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                with open("/proc/self/status") as status:
                    masks = dict(line.split(":\\t") for line in status)
                for name in ("SigBlk", "SigCgt", "SigIgn"):
                    mask = int(masks[name], 16)
                    names = [number.name for number in signal.Signals if mask >> number - 1 & 1]
                    os.write(writing, f"{name}: {','.join(names)} ".encode())
                os._exit(0)
            os.waitpid(child, 0)
            yield os.read(reading, 1000)
"""


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("signals"), SIGNALS)


@pytest.mark.parametrize(
    ("function", "result"),
    [("terminate", "-15"), ("pool", "14")],
)
def test_worker_receives_signals_blocked_in_host(signals: Path, function: str, result: str) -> None:
    # The handlers of the native host for SIGINT and SIGTERM only set a flag.
    assert [line["data"] for line in native_lines(signals, "--params", function) if line["kind"] == "event"] == [result]


def test_child_has_default_handlers_and_ignored_signals(signals: Path) -> None:
    (event,) = [line["data"] for line in native_lines(signals, "--params", "states") if line["kind"] == "event"]
    # SIGIO notifies the child when its host ends.
    assert event == "SigBlk:  SigCgt: SIGIO SigIgn: SIGPIPE "


WORKERS_OF_HOST = """
    import multiprocessing, os, time

    from falco_plugin import Plugin

    def sleep():
        print("WORKER", os.getpid(), flush=True)
        # Children of a worker must end with the host too.
        if os.fork() == 0:
            print("WORKER", os.getpid(), flush=True)
        time.sleep(600)

    class EndingWorkers(Plugin):
        name = event_source = "ending_workers"

        def open(self, params, context):
            fork = multiprocessing.get_context("fork")
            # The end of one worker must not end the others.
            fork.Process(target=os.getpid).start()
            for _ in range(2):
                fork.Process(target=sleep).start()
            yield b"started"
            context.wait()
"""


def test_workers_end_with_host(build: Build) -> None:
    host = subprocess.Popen(
        [native_path(), "run", build(WORKERS_OF_HOST)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert host.stderr is not None
    workers = []
    for line in host.stderr:
        if line.startswith("WORKER"):
            workers.append(int(line.split()[1]))
        if len(workers) == 4:
            break
    watched = [os.pidfd_open(worker) for worker in workers]
    assert select.select(watched, [], [], 0)[0] == [], "the workers run"
    host.kill()
    host.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 60)[0] == [descriptor]
        os.close(descriptor)
    host.stderr.close()


DAEMON = """
    import os, signal, time

    from falco_plugin import Plugin

    class Daemon(Plugin):
        name = event_source = "daemon"

        def open(self, params, context):
            if os.fork() == 0:
                os.setsid()
                print("DAEMON", os.getpid(), flush=True)
                os.closerange(0, 3)
                time.sleep(600)
                os._exit(0)
            yield b"started"
            context.wait()
"""


def test_child_in_new_session_outlives_host(build: Build) -> None:
    host = subprocess.Popen(
        [native_path(), "run", build(DAEMON)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert host.stderr is not None
    daemon = next(int(line.split()[1]) for line in host.stderr if line.startswith("DAEMON"))
    watched = os.pidfd_open(daemon)
    try:
        host.kill()
        host.wait()
        host.stderr.close()
        # The kernel would have sent a signal when it closed the last descriptor of the host, before `wait` returned.
        assert select.select([watched], [], [], 0.3)[0] == [], "the daemon runs"
    finally:
        os.kill(daemon, signal.SIGKILL)
        os.close(watched)
