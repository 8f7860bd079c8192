/* Python with the runtime of AddressSanitizer, which libraries that are built with the sanitizer require. */
#include <Python.h>

int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
