/* Python as a program that has the runtime of AddressSanitizer, as libraries built with it ask of any program. */
#include <Python.h>

int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
