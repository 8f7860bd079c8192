"""How long a call of the host that needs Python takes beside Python code that computes without pause.

Compares Python's usual switch interval of 5 ms ("before") with the SDK's ("after"), in one run, through the C plugin
API and a C host that does something else for 50 us after each call. The call is a next_batch that makes one event; in
the row "is the generator" it is the event_to_string of a plugin whose source is a generator that computes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = "3"
PAUSES = {**os.environ, "HOST_PAUSE_US": "50"}
PLUGIN = """
import sys, threading
from falco_plugin import Plugin, source

class Latency(Plugin):
    name = "latency"
    event_source = "latency"

    def open(self, params, context):
        interval, _, producer = params.partition(" ")
        if interval != "sdk":
            sys.setswitchinterval(float(interval))
        sender, receiver = source.channel()
        if producer == "generates":
            return self.generates(context)
        self.other = source.PushInstance(receiver, context=context, timeout=0)
        threading.Thread(target=getattr(self, producer), args=(context, sender), daemon=True).start()
        return source.PullInstance(lambda context, writer: writer.write(b"event"), timeout=0)

    def idle(self, context, sender):
        context.wait()

    def computes(self, context, sender):
        while not context.cancelled:
            sum(i * i for i in range(1000))

    def generates(self, context):
        while not context.cancelled:
            sum(i * i for i in range(1000))
            yield b"event"

    def event_to_string(self, event):
        return event.text

    def sends(self, context, sender):
        batch = source.EventBatch()
        while not context.cancelled:
            sender.send(b"event")
            self.other.next_batch(batch)
            batch.clear()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        host, code, library = (Path(folder, name) for name in ("host", "plugin.py", "liblatency.so"))
        code.write_text(PLUGIN)
        c_host = ROOT / "tests/hosts/c/host.c"
        subprocess.run(["cc", "-std=c11", "-O2", c_host, "-o", host, "-ldl", "-lpthread"], check=True)
        build = [sys.executable, "-m", "falco_plugin", "build", code, "-o", library]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        columns = f"{'calls/s':>10}{'p50 us':>10}{'p99 us':>10}{'max us':>10}"
        print(f"{'beside a thread that':<22}{'switch interval':<20}{columns}")
        shown = {"idle": "waits", "generates": "is the generator"}
        for producer in ("idle", "computes", "sends", "generates"):
            env = {**PAUSES, "HOST_TEXT": "1"} if producer == "generates" else PAUSES
            for interval in ("0.005", "0.001", "0.0005", "0.0001", "sdk"):
                run = [host, "idle", library, f"{interval} {producer}", SECONDS]
                answer = subprocess.run(run, check=True, capture_output=True, text=True, env=env).stdout
                times = json.loads(answer.splitlines()[-1])
                label = {"sdk": "after (the SDK's)", "0.005": "before (5 ms)"}.get(interval, f"{interval} s")
                rate = times["calls"] / float(SECONDS)
                print(
                    f"{shown.get(producer, producer):<22}{label:<20}{rate:>10.0f}"
                    f"{times['p50']:>10.1f}{times['p99']:>10.1f}{times['max']:>10.0f}"
                )


if __name__ == "__main__":
    main()
