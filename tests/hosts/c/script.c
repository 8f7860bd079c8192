/* The command script: makes the calls that its argument lists. */
#define _GNU_SOURCE
#include "host.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Forks the host. The child makes the remaining calls before the parent does. Returns "child" or "parent". */
static const char *fork_host(void)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		die("cannot fork");
	if (child == 0)
		return "child";
	if (waitpid(child, &status, 0) != child || status != 0)
		fail("the child ended with status %d", status);
	return "parent";
}

static void print_call(const char *process, const char *call, const struct run *run)
{
	struct text line = {0};

	put(&line, "{\"process\":\"%s\",\"call\":", process);
	put_string(&line, call);
	put(&line, ",\"end\":");
	put_string(&line, run->end);
	put(&line, ",\"error\":");
	put_string(&line, run->error[0] ? run->error : NULL);
	put(&line, "}");
	emit(&line);
}

/* Gets the metrics, and prints each with its value. */
static void print_metrics(struct run *run)
{
	uint32_t n = GARBAGE_N;
	const struct metric *metrics = run->lib->api.get_metrics(run->state, &n);
	struct text line = {0};

	if (n == GARBAGE_N)
		fail("get_metrics did not set the number");
	put(&line, "{\"metrics\":{");
	for (uint32_t i = 0; metrics && i < n; i++) {
		const struct metric *metric = &metrics[i];

		if (i)
			put(&line, ",");
		put_string(&line, metric->name);
		if (metric->value_type == METRIC_UNSIGNED)
			put(&line, ":%" PRIu64, metric->value.u);
		else if (metric->value_type == METRIC_SIGNED)
			put(&line, ":%" PRId64, metric->value.s);
		else if (metric->value_type == METRIC_DOUBLE)
			put(&line, ":%.17g", metric->value.d);
		else
			fail("a metric has the type %u", metric->value_type);
	}
	put(&line, "}}");
	emit(&line);
}

/* Makes one call, if a host would make it: after a failed init only destroy, and without an instance no next_batch. */
static bool make_call(struct run *run, const char *call, char *argument)
{
	bool ready = run->state && !run->stage, opened = run->instance;

	if (strcmp(call, "init") == 0) {
		run->config = argument;
		run_init(run);
		return true;
	}
	run->end = NULL;
	run->error[0] = '\0';
	run->empty = 0;
	if (strcmp(call, "destroy") == 0) {
		run_destroy(run);
		run->stage = NULL;
	} else if (!ready) {
		return false;
	} else if (strcmp(call, "suggest") == 0) {
		int rc = GARBAGE_RC;
		const char *text = run->lib->api.list_open_params(run->state, &rc);
		struct text line = {0};

		if (rc != RC_SUCCESS)
			run_plugin_failed(run, "list_open_params");
		put(&line, "{\"suggested\":");
		put_string(&line, text);
		put(&line, "}");
		emit(&line);
	} else if (strcmp(call, "metrics") == 0) {
		print_metrics(run);
	} else if (strcmp(call, "configure") == 0) {
		struct set_config_input input = { argument };

		if (run->lib->api.set_config(run->state, &input) != RC_SUCCESS)
			run_plugin_failed(run, "set_config");
	} else if (run_state_call(run, call)) {
		/* A call of a capture. */
	} else if (strcmp(call, "open") == 0) {
		run->params = argument;
		run_open(run);
	} else if (!opened) {
		return false;
	} else if (strcmp(call, "take") == 0) {
		run_drain(run);
	} else if (strcmp(call, "progress") == 0) {
		uint32_t hundredths = GARBAGE_N;
		const char *text = run->lib->api.get_progress(run->state, run->instance, &hundredths);
		struct text line = {0};

		put(&line, "{\"progress\":%" PRIu32 ",\"text\":", hundredths);
		put_string(&line, text);
		put(&line, "}");
		emit(&line);
	} else if (strcmp(call, "close") == 0) {
		run_close(run);
	} else {
		die("unknown call");
	}
	/* Only a failed init prevents later calls. */
	run->stage = NULL;
	return true;
}

void do_script(char **a)
{
	struct requests requests = read_requests(a[1]);
	const char *process = "host";
	char *rest = NULL;
	struct lib lib;
	struct run run;

	open_or_die(&lib, a[0]);
	atomic_store(&show_logs, true);
	run_start(&run, &lib, "");
	run.print = true;
	run.parse = true;
	run.requests = requests.count ? &requests : NULL;
	for (char *call = strtok_r(a[2], "\n", &rest); call; call = strtok_r(NULL, "\n", &rest)) {
		char *argument = strchr(call, ' ');

		if (argument)
			*argument++ = '\0';
		if (strcmp(call, "fork") == 0)
			process = fork_host();
		else if (make_call(&run, call, argument ? argument : ""))
			print_call(process, call, &run);
	}
	lib_close(&lib);
	free(requests.all);
}
