"""Code that a library may run: never code of the caller's environment or folder, and as root only code of root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.hosts import (
    MISSING,
    c_host_lines,
    c_host_path,
    cycle_payloads,
    environment,
    init_error,
    run_c_host,
    run_cycle,
)
from support.libraries import build_changed, build_plugin, simple_plugin, write_sources
from support.paths import REPOSITORY
from support.permissions import add_writer, as_root

from falco_plugin import _core
from falco_plugin._build import environment as _environment
from falco_plugin.testing.fixtures import StartPlugin

linked = pytest.mark.linked("its Python and its packages are files of an environment")

# Code outside of the environment


@linked
def test_import_path_ignores_variables_and_directory(tmp_path: Path) -> None:
    planted = {
        f"{name}.py": "raise SystemExit('planted code ran')\n"
        for name in ("json", "encodings", "falco_plugin", "logging", "sitecustomize", "typing", "usercustomize")
    }
    folder = str(write_sources(tmp_path / "planted", {**planted, "planted.pth": "import planted\n"}))
    # Python would read these files beside its executable and in the folder of user packages.
    write_sources(tmp_path / "planted", {"pyvenv.cfg": f"home = {folder}\ninclude-system-site-packages = true\n"})
    version = _environment.python_version()
    write_sources(Path(folder, "lib", f"python{version}", "site-packages"), planted)
    Path(folder, os.path.basename(_environment.libpython())).write_bytes(b"not a library")
    names = ["HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX"]
    names += ["PYTHONUSERBASE", "VIRTUAL_ENV"]
    env = environment(**dict.fromkeys(names, folder), PYTHONSTARTUP=f"{folder}/json.py", PYTHONSAFEPATH="")
    source = """
        import json, sys

        from falco_plugin import Plugin


        class Paths(Plugin):
            name = "paths"

            def open(self, params):
                yield json.dumps([sys.path, sys.executable, sys.flags.isolated, sys.flags.no_user_site]).encode()
    """
    library = build_plugin(tmp_path, source)
    ran = run_c_host("log", library, "", "", env=env, cwd=folder)
    assert ran.status == 0, ran.stdout + ran.stderr
    (payload,) = cycle_payloads(ran)
    path, executable, isolated, no_user_site = json.loads(payload)
    assert path == list(_environment.folders())
    assert (executable, isolated, no_user_site) == (sys.executable, 1, 1)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="this Python has no sys.remote_exec")
@pytest.mark.linked("no other process finds the Python of a self-contained library")
def test_other_process_cannot_make_python_run_script(tmp_path: Path, start_plugin: StartPlugin) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script.py"
    script.write_text(f"open({str(ran)!r}, 'w').close()\n")
    plugin = simple_plugin("endless", events="lambda: b'event', None")
    running = start_plugin(write_sources(tmp_path, {"endless.py": plugin}) / "endless.py")
    running.next_event()
    with pytest.raises(RuntimeError, match="Remote debugging is not enabled in the remote process"):
        sys.remote_exec(running.pid, str(script))
    for _ in range(100):
        running.next_event()
    assert not ran.exists()


@linked
@pytest.mark.parametrize("name", ["PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"])
def test_variables_of_isolated_python_are_refused(tmp_path: Path, name: str) -> None:
    error = init_error(
        build_plugin(tmp_path, simple_plugin("misled")), env=environment(**{name: "/elsewhere/bin/python"})
    )
    assert error.startswith(f"the environment variable {name} is set")
    assert "start Falco without it" in error


# As root, only code that other users cannot write


def strict_environment() -> dict[str, str]:
    return environment(FALCO_PLUGIN_ALLOW_WRITABLE=None)


def check_refused(library: Path, culprit: Path) -> None:
    error = init_error(library, env=strict_environment())
    assert error.startswith(f"Falco runs as root, but other users can write to {culprit}: "), error
    assert "its mode to go-w" in error
    assert "FALCO_PLUGIN_ALLOW_WRITABLE=1" in error
    (line,) = c_host_lines("cycle", library, 1, "", env=environment(FALCO_PLUGIN_ALLOW_WRITABLE="1"))
    assert line["end"] == "eof"


@linked
@as_root
@pytest.mark.parametrize("mode", [0o757, 0o777, 0o646])
def test_world_writable_library_is_refused(tmp_path: Path, mode: int) -> None:
    library = build_plugin(tmp_path, simple_plugin("open"))
    library.chmod(mode)
    check_refused(library, library)


@linked
@as_root
@pytest.mark.parametrize("group", [0, 12345])
def test_group_writable_library_is_refused(tmp_path: Path, group: int) -> None:
    # Other users may be in the group of root. The group bits also show the rights of an ACL.
    library = build_plugin(tmp_path, simple_plugin("group"))
    os.chown(library, 0, group)
    library.chmod(0o775)
    check_refused(library, library)


@linked
@as_root
def test_library_writable_by_acl_is_refused(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("rights"))
    add_writer(library, 12345)
    check_refused(library, library)


@linked
@as_root
def test_library_of_other_user_is_refused(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("theirs"))
    os.chown(library, 12345, 0)
    check_refused(library, library)


@linked
@as_root
@pytest.mark.parametrize("depth", [1, 2])
def test_world_writable_parent_folder_is_refused(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    library = build_plugin(folder, simple_plugin("folder"))
    culprit = [folder, folder.parent][depth - 1]
    culprit.chmod(0o777)
    check_refused(library, culprit)


@linked
@as_root
def test_link_to_writable_library_is_refused(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("linked"))
    library.chmod(0o777)
    (tmp_path / "safe").mkdir()
    link = tmp_path / "safe" / "link.so"
    link.symlink_to(library)
    check_refused(link, library)


@linked
@as_root
@pytest.mark.parametrize("part", ["libpython", "core", "python", "folders"])
def test_world_writable_environment_is_refused(tmp_path: Path, part: str) -> None:
    # No file is opened, so empty files are sufficient.
    parts = {name: tmp_path / "safe" / name for name in ("libpython", "core", "python", "folders")}
    parts[part] = tmp_path / "open" / part
    for file in parts.values():
        file.parent.mkdir(exist_ok=True)
        file.touch()
    parts[part].parent.chmod(0o777)
    library = build_changed(tmp_path, simple_plugin("parts"), **{name: str(file) for name, file in parts.items()})
    error = init_error(library, env=strict_environment())
    assert error.startswith(f"Falco runs as root, but other users can write to {parts[part].parent}: ")
    assert "FALCO_PLUGIN_ALLOW_WRITABLE=1" in error
    # With the permission, the next check fails, because the files are not libraries.
    allowed = init_error(library, env=environment(FALCO_PLUGIN_ALLOW_WRITABLE="1"))
    assert allowed.startswith("cannot load Python ")


@linked
@as_root
@pytest.mark.parametrize("value", ["0", "", "yes", "true"])
def test_only_value_1_allows_writable_library(tmp_path: Path, value: str) -> None:
    library = build_plugin(tmp_path, simple_plugin("almost"))
    library.chmod(0o777)
    error = init_error(library, env=environment(FALCO_PLUGIN_ALLOW_WRITABLE=value))
    assert "FALCO_PLUGIN_ALLOW_WRITABLE=1" in error


@as_root
def test_sticky_parent_folder_is_accepted(tmp_path: Path) -> None:
    # Only root can replace files of root in a sticky folder such as /tmp.
    folder = tmp_path / "sticky"
    folder.mkdir()
    missing = dict.fromkeys(("libpython", "core", "python", "folders"), MISSING)
    library = build_changed(folder, simple_plugin("sticky"), **missing)
    folder.chmod(0o1777)
    assert init_error(library, env=strict_environment()).startswith("cannot load Python ")


@linked
@as_root
@pytest.mark.parametrize("part", ["libpython", "core", "python", "folders"])
def test_sticky_folder_of_code_is_refused(tmp_path: Path, part: str) -> None:
    folder = tmp_path / "sticky"
    folder.mkdir()
    parts = dict.fromkeys(("libpython", "core", "python", "folders"), f"{MISSING}/part")
    library = build_changed(tmp_path, simple_plugin("still"), **{**parts, part: str(folder / "not-there-yet" / "part")})
    folder.chmod(0o1777)
    error = init_error(library, env=strict_environment())
    assert error.startswith(f"Falco runs as root, but other users can write to {folder}: "), error
    # The message must not suggest to change the mode of /tmp.
    assert "go-w" not in error
    assert "a folder that only root can write to" in error


@linked
@as_root
def test_link_in_folder_of_other_user_is_refused(tmp_path: Path) -> None:
    # The link leads to a file of root now, but the other user can change it before the next start.
    library = build_plugin(tmp_path, simple_plugin("linked"))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link.so").symlink_to(library)
    os.chown(theirs, 12345, 12345)
    check_refused(theirs / "link.so", theirs)


@linked
@as_root
def test_relative_path_is_checked_from_its_folder(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("near"))
    tmp_path.chmod(0o777)
    ran = run_c_host("initfail", f"./{library.name}", "", env=strict_environment(), cwd=tmp_path)
    assert f"other users can write to {tmp_path}: " in ran.stdout


# All code of the environment


class RootEnvironment:
    """A virtual environment that belongs to root and contains the SDK."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        self.packages = folder / "lib" / f"python{_environment.python_version()}" / "site-packages"
        sdk = Path(_core.__file__).parent
        (self.packages / "falco_plugin").symlink_to(sdk)
        write_sources(self.packages, {"helper/__init__.py": "", "helper/deep/module.py": "VALUE = 1\n"})

    def build(self, folder: Path, imports: str = "helper.deep.module") -> Path:
        command = [self.python, "-I", "-c", "import sys; print(*sys.path, sep='\\n')"]
        folders = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        init = f"def init(self):\n    import {imports}\n"
        return build_changed(folder, simple_plugin("root_environment", init), python=str(self.python), folders=folders)


@pytest.fixture
def root_environment(tmp_path: Path) -> RootEnvironment:
    """Creates an environment; skips the test if other users can write to the checkout or to the base Python."""
    root_environment = RootEnvironment(tmp_path / "root_environment")
    (tmp_path / "untouched").mkdir()
    ran = run_cycle(root_environment.build(tmp_path / "untouched"), env=strict_environment())
    for outside in (REPOSITORY, Path(sys.base_prefix)):
        if ran.status and f"can write to {outside}" in ran.stderr + ran.stdout:
            pytest.skip(f"other users can write to {outside}")
    assert ran.status == 0, ran.stdout + ran.stderr
    return root_environment


@linked
@as_root
def test_environment_of_root_is_accepted(root_environment: RootEnvironment, tmp_path: Path) -> None:
    assert len(cycle_payloads(run_cycle(root_environment.build(tmp_path), env=strict_environment()))) == 2


@linked
@as_root
@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("helper/deep/module.py", 0o646),
        ("helper/deep", 0o777),
        ("helper/deep", 0o1777),
        ("helper", 0o775),
        ("helper/deep/__pycache__/module.pyc", 0o666),
        ("helper/deep/native.so", 0o666),
        ("any.pth", 0o666),
        ("", 0o1777),
        ("../../../pyvenv.cfg", 0o666),
    ],
)
def test_writable_code_is_refused_at_any_depth(
    root_environment: RootEnvironment, tmp_path: Path, path: str, mode: int
) -> None:
    library = root_environment.build(tmp_path)
    culprit = root_environment.packages / path
    if not culprit.exists():
        culprit.parent.mkdir(exist_ok=True)
        culprit.touch()
    culprit.chmod(mode)
    error = init_error(library, env=strict_environment())
    assert error.startswith("Falco runs as root, but other users can write to "), error
    assert os.path.samefile(error.split(" write to ")[1].split(": ")[0], culprit)


@linked
@as_root
def test_code_behind_link_is_checked(root_environment: RootEnvironment, tmp_path: Path) -> None:
    write_sources(tmp_path / "elsewhere", {"inner/module.py": ""})
    (root_environment.packages / "linked").symlink_to(tmp_path / "elsewhere")
    library = root_environment.build(tmp_path)
    assert run_cycle(library, env=strict_environment()).status == 0
    (tmp_path / "elsewhere" / "inner" / "module.py").chmod(0o666)
    assert f"can write to {tmp_path}/elsewhere/inner/module.py: " in init_error(library, env=strict_environment())


@linked
@as_root
def test_circular_links_are_refused(root_environment: RootEnvironment, tmp_path: Path) -> None:
    (root_environment.packages / "circle").symlink_to(root_environment.packages)
    assert init_error(root_environment.build(tmp_path), env=strict_environment()).startswith(
        "too many links, or too long a path, at "
    )


@linked
@as_root
def test_folder_added_to_path_later_is_checked(root_environment: RootEnvironment, tmp_path: Path) -> None:
    library = root_environment.build(tmp_path)
    added = write_sources(tmp_path / "added", {"added.py": ""})
    (root_environment.packages / "added.pth").write_text(f"{added}\n")
    assert run_cycle(library, env=strict_environment()).status == 0
    added.chmod(0o777)
    assert f"can write to {added}: " in init_error(library, env=strict_environment())


@linked
@as_root
def test_editable_install_is_checked_at_its_path(root_environment: RootEnvironment, tmp_path: Path) -> None:
    # `pip install --editable` may add a finder instead of a folder on the path.
    module = write_sources(tmp_path / "project", {"in_place.py": ""}) / "in_place.py"
    finder = f"""
        import importlib.util, sys

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "in_place":
                    return importlib.util.spec_from_file_location(name, {str(module)!r})

        sys.meta_path.append(Finder())
    """
    write_sources(root_environment.packages, {"custom_finder.py": finder, "finder.pth": "import custom_finder\n"})
    library = root_environment.build(tmp_path, imports="in_place")
    assert run_cycle(library, env=strict_environment()).status == 0
    module.chmod(0o666)
    assert f"can write to {module}: " in init_error(library, env=strict_environment())


@linked
@as_root
@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_nested_package_folders_are_checked(root_environment: RootEnvironment, tmp_path: Path, name: str) -> None:
    write_sources(root_environment.packages / "helper", {f"{name}/vendored.py": ""})
    library = root_environment.build(tmp_path)
    assert run_cycle(library, env=strict_environment()).status == 0
    culprit = root_environment.packages / "helper" / name / "vendored.py"
    culprit.chmod(0o666)
    assert f"can write to {culprit}: " in init_error(library, env=strict_environment())


@linked
@as_root
@pytest.mark.parametrize("part", ["vendored.py", "__pycache__"])
def test_module_outside_of_checked_folders_is_checked(
    root_environment: RootEnvironment, tmp_path: Path, part: str
) -> None:
    # A folder of this name directly below the import path belongs to another environment, so it is not searched.
    inner = write_sources(root_environment.packages / "site-packages", {"vendored.py": ""})
    loads = f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location("vendored", {str(inner / "vendored.py")!r})
        module = importlib.util.module_from_spec(spec)
        sys.modules["vendored"] = module
        spec.loader.exec_module(module)
    """
    write_sources(root_environment.packages, {"custom_loader.py": "import sys\n" + textwrap.dedent(loads)})
    library = root_environment.build(tmp_path, imports="custom_loader")
    assert run_cycle(library, env=strict_environment()).status == 0
    (inner / "__pycache__").mkdir(exist_ok=True)
    (inner / part).chmod(0o777)
    assert f"can write to {inner / part}: " in init_error(library, env=strict_environment())


@as_root
def test_module_from_folder_of_other_user_is_refused(tmp_path: Path) -> None:
    folder = write_sources(tmp_path / "added", {"added.py": ""})
    source = f"import sys\nsys.path.append({str(folder)!r})\n__import__('added')"
    library = build_plugin(tmp_path, simple_plugin("adds", source), self_contained=True)
    assert run_cycle(library, env=strict_environment()).status == 0
    (folder / "added.py").chmod(0o666)
    assert f"can write to {folder / 'added.py'}: " in init_error(library, env=strict_environment())


@linked
@as_root
def test_file_names_with_invalid_utf8_are_checked(root_environment: RootEnvironment, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    (root_environment.packages / "bytes.pth").write_text(f"import os, sys; sys.path.append(os.fsdecode({folder!r}))\n")
    library = build_changed(
        tmp_path, simple_plugin("bytes"), python=str(root_environment.python), folders=str(root_environment.packages)
    )
    assert run_cycle(library, env=strict_environment()).status == 0
    os.chmod(folder, 0o777)
    ran = run_c_host("initfail", library, "", env=strict_environment())
    assert f"can write to {tmp_path}/caf" in ran.stdout


@linked
@as_root
def test_relative_import_folder_is_refused(root_environment: RootEnvironment, tmp_path: Path) -> None:
    (root_environment.packages / "near.pth").write_text("import sys; sys.path.append('near')\n")
    library = build_changed(
        tmp_path, simple_plugin("near"), python=str(root_environment.python), folders=str(root_environment.packages)
    )
    assert init_error(library, env=strict_environment()).startswith("not an absolute path: near")


PRELOADED = """
    #include <errno.h>
    #include <stddef.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <dirent.h>
    #include <dlfcn.h>

    static int is_culprit(const char *path) {
        size_t len = strlen(path);
        return len >= 7 && strcmp(path + len - 7, "culprit") == 0;
    }

    #ifdef LSTAT
    int lstat(const char *path, struct stat *stat) {
        if (is_culprit(path)) { errno = EIO; return -1; }
        return ((int (*)(const char *, struct stat *))dlsym(RTLD_NEXT, "lstat"))(path, stat);
    }
    /* The stub of a wheel is built for glibc 2.17, which has lstat under this name. */
    int __lxstat(int version, const char *path, struct stat *stat) { return lstat(path, stat); }
    #else
    static void *culprit;
    DIR *opendir(const char *path) {
        DIR *folder = ((DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir"))(path);
        if (is_culprit(path)) {
    #ifdef OPENDIR
            closedir(folder);
            errno = EIO;
            return NULL;
    #endif
            culprit = folder;
        }
        return folder;
    }
    struct dirent *readdir(DIR *folder) {
        if (folder == culprit) { errno = EIO; return NULL; }
        return ((struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir"))(folder);
    }
    #endif
"""


@linked
@as_root
@pytest.mark.parametrize("call", ["LSTAT", "OPENDIR", "READDIR"])
def test_uncheckable_path_is_refused_with_reason(root_environment: RootEnvironment, tmp_path: Path, call: str) -> None:
    culprit = root_environment.packages / "culprit"
    culprit.mkdir()
    library = root_environment.build(tmp_path)
    assert run_cycle(library, env=strict_environment()).status == 0
    source, preloaded = tmp_path / "preloaded.c", tmp_path / "preloaded.so"
    source.write_text(PRELOADED)
    command = ["cc", "-D_GNU_SOURCE", f"-D{call}", "-shared", "-fPIC", source, "-o", preloaded, "-ldl"]
    subprocess.run(command, check=True)
    error = init_error(library, env={**strict_environment(), "LD_PRELOAD": str(preloaded)})
    assert "other users can write" not in error
    assert error.startswith("cannot check the permissions of ")
    assert error.endswith("/culprit, which is required because Falco runs as root: Input/output error")


# The Python that FALCO_PLUGIN_PYTHON names


@linked
@as_root
def test_override_is_refused_as_root_before_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    python = write_executable(tmp_path / "python", f": > {mark}")
    library = build_plugin(tmp_path, simple_plugin("refused"))
    error = init_error(library, env={**strict_environment(), "FALCO_PLUGIN_PYTHON": str(python)})
    assert error == (
        "FALCO_PLUGIN_PYTHON is set, but it is not allowed if Falco runs as root: unset it, and build the library with "
        f"'falco-plugin build --python {python}'"
    )
    assert not mark.exists()


@linked
def test_override_must_be_an_absolute_path(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("relative"))
    error = init_error(library, env=environment(FALCO_PLUGIN_PYTHON="bin/python"))
    assert error.startswith("FALCO_PLUGIN_PYTHON must be an absolute path")
    assert error.endswith(", got bin/python")


@linked
@pytest.mark.parametrize(
    "code",
    [
        "",
        "printf 'a\\nb\\nc\\n'; exit 1",
        "printf 'one\\ntwo\\n'",
        "printf 'a\\nb\\nc\\nno end'",
        "yes | head -n 20000",
    ],
)
def test_override_is_refused_without_a_whole_answer(tmp_path: Path, code: str) -> None:
    python = write_executable(tmp_path / "python", code)
    library = build_plugin(tmp_path, simple_plugin("partial"))
    error = init_error(library, env=environment(FALCO_PLUGIN_PYTHON=str(python)))
    assert error == (
        f"FALCO_PLUGIN_PYTHON names {python}, which is not a Python with falco-plugin-sdk: "
        "install falco-plugin-sdk there, or name another Python"
    )


@linked
def test_override_runs_with_empty_stdin(tmp_path: Path) -> None:
    mark = tmp_path / "input"
    python = write_executable(tmp_path / "python", f"readlink /proc/self/fd/0 > {mark}")
    library = build_plugin(tmp_path, simple_plugin("input"))
    command = [c_host_path(), "initfail", library, ""]
    env = environment(FALCO_PLUGIN_PYTHON=str(python))
    subprocess.run(command, env=env, input=b"the host's", capture_output=True, check=False)
    assert mark.read_text().strip() == os.devnull


def write_executable(path: Path, code: str) -> Path:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return path
