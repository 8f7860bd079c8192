/*
 * Linked into programs with AddressSanitizer. Leaks are not checked: Python keeps much memory until the process ends,
 * and other tests measure what a source keeps. A crash remains a signal, which the native host reports.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0";
}
