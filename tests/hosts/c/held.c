/* The command held: metrics while the plugin holds the GIL. */
#define _GNU_SOURCE
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *suggest_thread(void *argument)
{
	struct run *run = argument;
	int rc = GARBAGE_RC;

	run->lib->api.list_open_params(run->state, &rc);
	return NULL;
}

/*
 * The configuration has two descriptors. list_open_params writes a byte to the first one, and reads one from the second
 * one without releasing the GIL. In between this thread gets the metrics. If they needed the GIL, it would wait forever.
 */
void do_held(char **a)
{
	enum { CALLS = 1000 };
	int holds[2], release[2];
	uint32_t n = 0;
	char config[64], byte;
	struct text line = {0};
	struct lib lib;
	struct run run;
	pthread_t thread;

	if (pipe(holds) || pipe(release))
		die("cannot make pipes");
	snprintf(config, sizeof config, "%d %d", holds[1], release[0]);
	open_or_die(&lib, a[0]);
	run_start(&run, &lib, "");
	run.config = config;
	if (!run_init(&run))
		die(run.error);
	thread = spawn(suggest_thread, &run);
	if (read(holds[0], &byte, 1) != 1)
		die("the plugin does not hold the GIL");
	for (int i = 0; i < CALLS; i++) {
		n = GARBAGE_N;
		if (!lib.api.get_metrics(run.state, &n) || n == GARBAGE_N)
			fail("get_metrics returned no metrics");
	}
	if (write(release[1], "x", 1) != 1)
		die("cannot release the plugin");
	join(thread);
	put(&line, "{\"held\":%d,\"metrics\":%u}", CALLS, n);
	emit(&line);
	run_destroy(&run);
	lib_close(&lib);
}
