"""1 GB of lines through `falco-plugin run`: whether the count is right, and how the host's memory goes."""

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
        wanted = rounds * sample.count(b"\n")
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
        print(f"{lines.stat().st_size} bytes, {wanted} lines")
        print(f"the host saw {end['events']} events in {end['seconds']:.1f} s")
        third = len(sizes) // 3
        print(f"its resident memory: {max(sizes[:third])} KiB at most in the first third, {max(sizes)} KiB in all")
        if end["events"] != wanted or end["result"] != "eof":
            sys.exit(f"the count is wrong: {end}")


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
