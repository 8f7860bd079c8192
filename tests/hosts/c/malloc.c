/*
 * Linked into hosts for memory checkers: a Python that a library loads takes each object from malloc, which they watch.
 * The interpreter is isolated and does not read PYTHONMALLOC.
 */
#define _GNU_SOURCE
#include <Python.h>
#include <dlfcn.h>
#include <stdlib.h>

/* Zeroes, since Python 3.11 looks at the first digit of an int that has none, which memcheck would tell. */
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

void *dlopen(const char *path, int flags)
{
	static __typeof__(dlopen) *next;
	void *library;

	if (!next)
		next = (__typeof__(next))dlsym(RTLD_NEXT, "dlopen");
	library = next(path, flags);
	set_allocators();
	return library;
}
