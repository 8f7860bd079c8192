/*
 * Linked into hosts for memory checkers: makes a Python that a library loads allocate each object with malloc, which
 * the checkers watch. The environment variable PYTHONMALLOC cannot do this: the interpreter is isolated.
 */
#define _GNU_SOURCE
#include <Python.h>
#include <dlfcn.h>
#include <stdlib.h>

/* Returns zeroed memory: Python 3.11 reads the first digit of an int that has none, which memcheck would report. */
static void *zeroes(void *context, size_t size)
{
	(void)context;
	return calloc(1, size ? size : 1);
}

static void set_allocators(void)
{
	__typeof__(Py_IsInitialized) *initialised = (__typeof__(initialised))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
	__typeof__(PyMem_GetAllocator) *get = (__typeof__(get))dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
	__typeof__(PyMem_SetAllocator) *set = (__typeof__(set))dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
	PyMemAllocatorEx allocator;

	if (!initialised || initialised())
		return;
	get(PYMEM_DOMAIN_RAW, &allocator);
	allocator.malloc = zeroes;
	set(PYMEM_DOMAIN_MEM, &allocator);
	set(PYMEM_DOMAIN_OBJ, &allocator);
}

/* Visible to libraries, although the host is compiled with hidden symbols. */
__attribute__((visibility("default"))) void *dlopen(const char *path, int flags)
{
	static __typeof__(dlopen) *next;
	void *library;

	if (!next)
		next = (__typeof__(next))dlsym(RTLD_NEXT, "dlopen");
	library = next(path, flags);
	/* After a failure, dlerror must still return its message. */
	if (library)
		set_allocators();
	return library;
}
