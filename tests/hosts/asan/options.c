/*
 * Linked into programs with AddressSanitizer. Leaks are not looked for: Python keeps much until the process ends, and
 * what a source keeps is measured by other tests. A crash stays a signal, which the native host tells.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0";
}
