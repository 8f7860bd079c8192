"""Code that needs a Python program, or the Python library by its name, works in a bundle or reports why not."""

from __future__ import annotations

import pytest
from support.bundles import ROOT, evaluated, printed, run_bundled

NO_PROGRAM = "RuntimeError: a self-contained library has no Python program to start, so sys.executable is empty: "


def test_multiprocessing_forks_by_default() -> None:
    code = """
        import math, multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        print(multiprocessing.get_start_method())
        with ProcessPoolExecutor(2) as pool:
            print(list(pool.map(math.sqrt, [1, 4, 9])))
        with multiprocessing.Pool(2) as pool:
            print(pool.map(abs, [-1, -2]))
        queue = multiprocessing.Queue()
        process = multiprocessing.Process(target=queue.put, args=("item",))
        process.start()
        print(queue.get())
        process.join()
        with multiprocessing.Manager() as manager:
            print(manager.list([1]))
    """
    assert printed(code) == ["fork", "[1.0, 2.0, 3.0]", "[1, 2]", "item", "[1]"]


STARTS = [
    ("multiprocessing.get_context('spawn').Process().start()", "use the start method 'fork'"),
    ("multiprocessing.get_context('forkserver').Process().start()", "use the start method 'fork'"),
    (
        "multiprocessing.set_start_method('spawn', force=True) or multiprocessing.Process().start()",
        "use the start method 'fork'",
    ),
    ("shared_memory.SharedMemory(create=True, size=1)", "SharedMemory with track=False"),
    ("subprocess.run([sys.executable, '-c', ''])", "start another program, or use multiprocessing with 'fork'"),
    ("subprocess.run(['python'], executable=sys.executable)", "start another program"),
    ("asyncio.run(asyncio.create_subprocess_exec(sys.executable, '-c', ''))", "start another program"),
]


@pytest.fixture(scope="module")
def starts() -> dict[str, str]:
    setup = "import asyncio, multiprocessing, subprocess, sys\nfrom multiprocessing import shared_memory\n"
    return evaluated(setup, [expression for expression, _ in STARTS])


@pytest.mark.parametrize(("expression", "remedy"), STARTS)
def test_start_of_python_program_is_clear_error(starts: dict[str, str], expression: str, remedy: str) -> None:
    assert starts[expression].startswith(NO_PROGRAM)
    assert remedy in starts[expression]


def test_other_programs_can_be_started() -> None:
    code = """
        import subprocess
        print(subprocess.run(["echo", "started"], capture_output=True, text=True).stdout.strip())
        print(subprocess.run(["ignored"], executable="true").returncode, subprocess.run("", shell=True).returncode)
        class Popen(subprocess.Popen):
            pass
        with Popen(args=["echo", "started"], stdout=subprocess.PIPE, text=True) as process:
            print(process.stdout.read().strip())
    """
    assert printed(code) == ["started", "0 0", "started"]


def test_ctypes_finds_python_library() -> None:
    code = """
        import ctypes, os
        print(ctypes.pythonapi._name.startswith("libpython"), ctypes.PyDLL(None)._name.startswith("libpython"))
        print(ctypes.CDLL(None).getpid() == os.getpid(), ctypes.CDLL("libc.so.6").getpid() == os.getpid())
    """
    assert printed(code) == ["True True", "True True"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("libabsent.so.1", "OSError: libabsent.so.1: cannot open shared object file"),
        (f"{ROOT}/package/libown.so", f"OSError: cannot open {ROOT}/package/libown.so, because it is inside of the "),
    ],
)
def test_ctypes_reports_library_that_cannot_be_opened(name: str, error: str) -> None:
    assert error in run_bundled(f"import ctypes\nctypes.CDLL({name!r})").stderr
