/*
 * Refuses files in memory. Then a self-contained library opens its native code from a folder, whose files memcheck can
 * read: it cannot read files in memory, so its stacks of them would have no names and end anywhere.
 */
#include <errno.h>

__attribute__((visibility("default"))) int memfd_create(const char *name, unsigned int flags)
{
	(void)name;
	(void)flags;
	errno = ENOSYS;
	return -1;
}
