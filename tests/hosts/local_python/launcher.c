/* Runs Python whose libpython is not in the global scope of symbols.
 *
 * A self-contained library refuses to start in a process whose global scope has the symbols of a Python. This program
 * opens libpython with RTLD_LOCAL, so that tests in Python can load such libraries through ctypes.
 *
 * LIBPYTHON, PYTHON and STARTUP are paths, defined by the compiler's options.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
	void *libpython = dlopen(LIBPYTHON, RTLD_NOW | RTLD_LOCAL);
	int (*run)(int, char **) = libpython ? (int (*)(int, char **))dlsym(libpython, "Py_BytesMain") : NULL;

	if (!run) {
		fprintf(stderr, "local_python: %s\n", dlerror());
		return 1;
	}
	/* Python finds its prefix and pyvenv.cfg by this path. */
	arguments[0] = PYTHON;
	if (setenv("PYTHONPATH", STARTUP, 1)) {
		perror("local_python");
		return 1;
	}
	return run(count, arguments);
}
