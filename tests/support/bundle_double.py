"""Runs code in a Python process that finds all its modules in a double of a bundle, made from folders.

As a program, it makes the double from the request in its first argument, and runs the code. It must import only modules
that Python has frozen before the finder is installed, so it does not import other modules of the tests.
"""

import _imp
import sys

KINDS = MODULE, PACKAGE, EXTENSION = 0, 1, 2
FINDER = "falco_plugin._runtime.bundle.finder"


class Bundle:
    """The methods of ``_core.Bundle``, over files of folders and files that are given by their content."""

    def __init__(self, request):
        import os

        self.id = "0123456789abcdef"
        self.root = request["root"]
        self.libpython = request["libpython"]
        self._refuses_memory = request["refuses_memory"]
        self._modules = []
        self._files = []
        self._contents = {}
        for folder, names in request["folders"]:
            for name in names:
                self._add(os, folder, name)
        for path, content in request["files"].items():
            self._put(os, path, content.encode("latin-1"))
        self._module_index = {name: index for index, (name, _, _) in enumerate(self._modules)}
        self._file_index = {path: index for index, path in enumerate(self._files)}

    def _add(self, os, folder, name):
        path = f"{folder}/{name}"
        if not os.path.isdir(path):
            self._put(os, name, path)
            return
        for entry in sorted(os.listdir(path)):
            if entry not in ("__pycache__", "test", "tests", "site-packages"):
                self._add(os, folder, f"{name}/{entry}" if name else entry)

    def _put(self, os, path, source):
        stem = path.partition(".")[0].replace("/", ".")
        if path.endswith("/__init__.py"):
            self._modules.append((stem.removesuffix(".__init__"), PACKAGE, source))
        elif path.endswith(".py"):
            self._modules.append((stem, MODULE, source))
        elif path.endswith(".so"):
            self._modules.append((stem.removeprefix("lib-dynload."), EXTENSION, source))
        else:
            self._files.append(path)
            self._contents[path] = source

    def find(self, name):
        index = self._module_index.get(name)
        return None if index is None else (self._modules[index][1], index)

    def modules(self, prefix):
        return [(name, kind) for name, kind, _ in self._modules if name.startswith(prefix)]

    def code(self, entry):
        import marshal

        name, _, source = self._modules[entry]
        return marshal.loads(marshal.dumps(compile(_content(source), f"packed/{name}", "exec", dont_inherit=True)))

    def create_extension(self, entry, name):
        from _frozen_importlib import ModuleSpec

        return _imp.create_dynamic(ModuleSpec(name, None, origin=self._modules[entry][2]))

    def file(self, path):
        return self._file_index.get(path)

    def files(self, prefix):
        return [path for path in self._files if path.startswith(prefix)]

    def read(self, entry):
        return _content(self._contents[self._files[entry]])

    def memory_file(self, entry):
        import os

        if self._refuses_memory:
            raise PermissionError(1, "Operation not permitted")
        descriptor = os.memfd_create("file", os.MFD_CLOEXEC)
        os.write(descriptor, self.read(entry))
        return descriptor


def _content(source):
    if isinstance(source, bytes):
        return source
    from io import open_code

    with open_code(source) as file:
        return file.read()


class _Core(type(sys)):
    """Replaces ``falco_plugin._core`` in Pythons for which it was not built."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args: None})


def main():
    import marshal

    request = marshal.loads(bytes.fromhex(sys.argv.pop()))
    bundle = Bundle(request)
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if origin not in ("built-in", "frozen") and name not in ("__main__", "encodings"):
            del sys.modules[name]
    sys.path.clear()
    sys.executable = ""
    if request["core"]:
        core = sys.modules["falco_plugin._core"] = _Core("falco_plugin._core")
        core.SDK_VERSION = "0"
    module = sys.modules[FINDER] = type(sys)(FINDER)
    code = bundle.code(bundle.find(FINDER)[1])
    _imp._fix_co_filename(code, f"{bundle.root}/{FINDER.replace('.', '/')}.py")
    exec(code, module.__dict__)
    module.install(bundle)
    exec(compile(request["code"], "<test>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
