/* Commands that load and unload libraries one after the other: cycle, replace, swap, relative. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void do_cycle(char **a)
{
	long count = parse_count(a[1]);

	for (long i = 1; i <= count && !exit_status; i++) {
		struct lib lib;
		struct run run;
		struct text line = {0};
		const char *wrong = lib_open(&lib, a[0]);

		run_start(&run, &lib, a[2]);
		if (wrong)
			run_failed(&run, "dlopen", wrong);
		else
			run_whole(&run);
		put(&line, "{\"cycle\":%ld,", i);
		put_run(&line, &run);
		put(&line, "}");
		lib_close(&lib);
		emit(&line);
	}
}

static void run_and_print(const char *which, const char *path, const char *params)
{
	struct lib lib;
	struct run run;
	struct text line = {0};
	const char *wrong = lib_open(&lib, path);
	void *still;

	run_start(&run, &lib, params);
	run.keep = true;
	if (wrong)
		run_failed(&run, "dlopen", wrong);
	else
		run_whole(&run);
	put(&line, "{\"which\":\"%s\",", which);
	put_run(&line, &run);
	lib_close(&lib);
	still = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	put(&line, ",\"still_mapped\":%s}", still ? "true" : "false");
	if (still)
		dlclose(still);
	emit(&line);
}

void do_replace(char **a)
{
	run_and_print("old", a[0], a[2]);
	if (rename(a[1], a[0]))
		die("cannot rename the new library over the old one");
	run_and_print("new", a[0], a[2]);
}

/* Copies a file over another one, which keeps its inode. */
static void overwrite(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out = fopen(to, "r+b");
	char block[1 << 16];
	size_t len;

	if (!in || !out)
		die("cannot open the libraries to copy");
	while ((len = fread(block, 1, sizeof block, in)) > 0)
		if (fwrite(block, 1, len, out) != len)
			die("cannot copy the new library");
	if (fclose(in) || fclose(out))
		die("cannot copy the new library");
}

/* Replaces the file of a library between its load and its init. */
void do_swap(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};

	open_or_die(&lib, a[0]);
	if (strcmp(a[2], "rename") == 0) {
		if (rename(a[1], a[0]))
			die("cannot rename the new library over the old one");
	} else {
		overwrite(a[1], a[0]);
	}
	run_start(&run, &lib, a[3]);
	run.keep = true;
	run_whole(&run);
	put(&line, "{");
	put_run(&line, &run);
	put(&line, "}");
	lib_close(&lib);
	emit(&line);
}

void do_relative(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};
	char *folder = copy_string(a[0]), *slash = strrchr(folder, '/');
	char *file = checked(malloc(strlen(a[0]) + 3));

	sprintf(file, "./%s", slash ? slash + 1 : folder);
	if (slash) {
		slash[slash == folder] = '\0';
		if (chdir(folder))
			die("cannot go to the folder of the library");
	}
	open_or_die(&lib, file);
	if (chdir("/"))
		die("cannot go to the root folder");
	run_start(&run, &lib, a[1]);
	run.keep = true;
	run_whole(&run);
	put(&line, "{");
	put_run(&line, &run);
	put(&line, "}");
	lib_close(&lib);
	emit(&line);
	free(folder);
	free(file);
}
