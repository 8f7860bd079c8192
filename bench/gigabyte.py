"""Sends 1 GiB of lines through `falco-plugin run`; checks the event count and prints the host's memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BYTES = 1 << 30


def main() -> None:
    sample = (ROOT / "plugins/tail/sample.jsonl").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines.jsonl")
        rounds = -(-BYTES // len(sample))
        with lines.open("wb") as file:
            for _ in range(rounds):
                file.write(sample)
        expected = rounds * sample.count(b"\n")
        command: list[str | Path] = [sys.executable, "-m", "falco_plugin", "run", ROOT / "plugins/tail"]
        command += ["--json", "--params", lines, "--config", '{"follow": false}']
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        tail = subprocess.Popen(["tail", "-n", "1"], stdin=process.stdout, stdout=subprocess.PIPE, text=True)
        process.stdout.close()
        sizes = []
        while process.poll() is None:
            time.sleep(0.25)
            sizes += [resident_kib(child) for child in children(process.pid)]
        end = json.loads(tail.communicate()[0])
        sizes = [size for size in sizes if size]
        print(f"{lines.stat().st_size} bytes, {expected} lines")
        print(f"the host received {end['events']} events in {end['seconds']:.1f} s")
        third = len(sizes) // 3
        print(f"peak resident memory: {max(sizes[:third])} KiB in the first third, {max(sizes)} KiB overall")
        if end["events"] != expected or end["result"] != "eof":
            sys.exit(f"expected {expected} events and the result eof, got {end}")


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def resident_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


if __name__ == "__main__":
    main()
