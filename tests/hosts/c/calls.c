/* Commands for one kind of call: initfail, log, symbols, idle, static. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void do_initfail(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};

	open_or_die(&lib, a[0]);
	run_start(&run, &lib, "");
	run.config = a[1];
	if (run_init(&run)) {
		fail("init succeeded");
	} else {
		put(&line, "{\"state_is_null\":%s,\"error\":", run.state ? "false" : "true");
		put_string(&line, run.state ? run.error : NULL);
		put(&line, "}");
		emit(&line);
		if (strcmp(run.error, "rc was not set") == 0)
			fail("init: %s", run.error);
	}
	run_destroy(&run);
	lib_close(&lib);
}

void do_log(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};
	const char *late = getenv("HOST_LATE_MS");

	open_or_die(&lib, a[0]);
	atomic_store(&show_logs, true);
	run_start(&run, &lib, a[2]);
	run.config = a[1];
	run.print = true;
	run_whole(&run);
	atomic_store(&destroyed, true);
	put(&line, "{\"cycle\":1,");
	put_run(&line, &run);
	put(&line, "}");
	emit(&line);
	if (late)
		usleep((useconds_t)parse_count(late) * 1000);
	put(&line, "{\"late_logs\":%d}", atomic_load(&late_logs));
	emit(&line);
	lib_close(&lib);
}

void do_symbols(char **a)
{
	struct text names = {0}, line = {0};
	void *handle = dlopen(a[0], RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		const char *why = dlerror();
		die(why ? why : "dlopen failed");
	}
#define LIST(type, name, args)                                                                     \
	if (dlsym(handle, "plugin_" #name))                                                        \
		put_name(&names, "plugin_" #name);
	PLUGIN_FUNCTIONS(LIST)
#undef LIST
	put(&line, "{\"symbols\":[");
	put_bytes(&line, names.data, names.len);
	put(&line, "]}");
	emit(&line);
	free(names.data);
	dlclose(handle);
}

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

/* Returns the smallest value that at least this share of all values does not exceed. */
static double percentile(const double *sorted, size_t n, size_t percent)
{
	return n ? sorted[(n * percent + 99) / 100 - 1] : 0;
}

void do_idle(char **a)
{
	char *rest;
	double seconds = strtod(a[2], &rest), start, cpu, *times = NULL;
	const char *pause = getenv("HOST_PAUSE_US");
	long pause_us = pause ? parse_count(pause) : 0;
	bool text = getenv("HOST_TEXT") != NULL;
	size_t n = 0, capacity = 0;
	struct lib lib;
	struct run run;
	struct text line = {0};

	if (rest == a[2] || *rest || !(seconds > 0 && seconds <= 3600))
		die("SECONDS has to be a number from 0 to 3600");
	open_or_die(&lib, a[0]);
	run_start(&run, &lib, a[1]);
	if (run_init(&run))
		run_open(&run);
	start = seconds_of(CLOCK_MONOTONIC);
	cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	while (!run.end) {
		double before = seconds_of(CLOCK_MONOTONIC);

		if (before - start >= seconds) {
			run_stop(&run, NULL, "time", NULL);
			break;
		}
		run_step(&run);
		if (text) {
			struct event_input in = { run.last, run.events, lib.source };

			if (!run.last)
				continue;
			before = seconds_of(CLOCK_MONOTONIC);
			lib.api.event_to_string(run.state, &in);
		}
		if (n == capacity) {
			capacity = capacity ? capacity * 2 : 4096;
			times = checked(realloc(times, capacity * sizeof *times));
		}
		before = seconds_of(CLOCK_MONOTONIC) - before;
		times[n++] = before * 1e6;
		if (pause_us)
			nanosleep(&(struct timespec){ .tv_nsec = pause_us * 1000 }, NULL);
	}
	cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	run_close(&run);
	run_destroy(&run);
	if (n)
		qsort(times, n, sizeof *times, by_value);
	put(&line, "{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"calls\":%zu,\"cpu_ms\":%.1f,",
	    percentile(times, n, 50), percentile(times, n, 99), percentile(times, n, 100), n, cpu * 1e3);
	put_run(&line, &run);
	put(&line, "}");
	lib_close(&lib);
	emit(&line);
	free(times);
}

/* Prints what a library answers before init. */
void do_static(char **a)
{
	struct lib lib;
	struct text line = {0};

	open_or_die(&lib, a[0]);
	put(&line, "{\"required_api_version\":");
	put_string(&line, lib.api.get_required_api_version());
	put(&line, ",\"fields\":");
	put_string(&line, lib.api.get_fields ? lib.api.get_fields() : NULL);
	put(&line, ",\"extract_event_sources\":");
	put_string(&line, lib.api.get_extract_event_sources ? lib.api.get_extract_event_sources() : NULL);
	put(&line, ",\"schema\":");
	if (lib.api.get_init_schema) {
		int kind = GARBAGE_RC;
		const char *schema = lib.api.get_init_schema(&kind);

		/* JSON is the only kind of schema in the plugin API. */
		put_string(&line, kind == 1 ? schema : NULL);
	} else {
		put(&line, "null");
	}
	put(&line, ",\"extract_event_types\":");
	if (lib.api.get_extract_event_types) {
		uint32_t n = GARBAGE_N;
		const uint16_t *types = lib.api.get_extract_event_types(&n, NULL);

		put(&line, "[");
		for (uint32_t i = 0; i < n; i++)
			put(&line, i ? ",%u" : "%u", types[i]);
		put(&line, "]}");
	} else {
		put(&line, "null}");
	}
	emit(&line);
	lib_close(&lib);
}
