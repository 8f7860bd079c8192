/* Drives one state and one instance of a library. */
#define _GNU_SOURCE
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int max_timeouts(void)
{
	const char *text = getenv("HOST_TIMEOUTS");
	return text ? (int)parse_count(text) : 3;
}

void run_start(struct run *run, struct lib *lib, const char *params)
{
	const char *config = getenv("HOST_CONFIG");

	memset(run, 0, sizeof *run);
	run->lib = lib;
	run->params = params;
	run->config = config ? config : "";
}

void run_stop(struct run *run, const char *stage, const char *end, const char *error)
{
	run->stage = stage;
	run->end = end;
	snprintf(run->error, sizeof run->error, "%s", error ? error : "");
}

void run_failed(struct run *run, const char *stage, const char *error)
{
	run_stop(run, stage, "failure", error);
}

void run_plugin_failed(struct run *run, const char *stage)
{
	const char *error = run->state ? run->lib->api.get_last_error(run->state) : NULL;

	run_failed(run, stage, error && *error ? error : "(no error message)");
}

/* Calls init. Overwrites the input afterwards: the plugin must not keep it. */
bool run_init(struct run *run)
{
	int rc = GARBAGE_RC;
	const char *text = !*run->config && run->lib->json_schema ? "{}" : run->config;
	char *config = copy_string(text);
	struct init_input in = { config, run, on_owner_error, NULL, on_log };

	run->state = run->lib->api.init(&in, &rc);
	memset(config, '#', strlen(config));
	free(config);
	memset(&in, 0xA5, sizeof in);
	if (rc == GARBAGE_RC)
		run_failed(run, "init", "rc was not set");
	else if (rc != RC_SUCCESS)
		run_plugin_failed(run, "init");
	else if (!run->state)
		run_failed(run, "init", "success with a NULL state");
	return !run->end;
}

bool run_open(struct run *run)
{
	int rc = GARBAGE_RC;
	char *params;

	if (run->end)
		return false;
	if (!run->lib->api.open || !run->lib->api.close || !run->lib->api.next_batch) {
		run_failed(run, "open", "the plugin is not a source");
		return false;
	}
	params = copy_string(run->params);
	run->instance = run->lib->api.open(run->state, params, &rc);
	if (params)
		memset(params, '#', strlen(params));
	free(params);
	if (rc == GARBAGE_RC)
		run_failed(run, "open", "rc was not set");
	else if (rc != RC_SUCCESS)
		run_plugin_failed(run, "open");
	else if (!run->instance)
		run_failed(run, "open", "success with a NULL instance");
	return !run->end;
}

static void print_event(struct run *run, const struct event *evt, const unsigned char *data, size_t n)
{
	struct event_input in = { evt, run->events, run->lib->source };
	struct text line = {0};
	const char *text = NULL;

	if (run->lib->api.event_to_string)
		text = run->lib->api.event_to_string(run->state, &in);
	put(&line, "{\"event\":{\"text\":");
	put_string(&line, text);
	put(&line, ",\"base64\":");
	put_base64(&line, data, n);
	put(&line, ",\"timestamp\":%llu}}", (unsigned long long)evt->ts);
	emit(&line);
}

static void print_fields(struct run *run, const struct event *evt)
{
	struct text line = {0};

	put(&line, "{\"event\":%llu,", (unsigned long long)run->events);
	/* Without value offsets, like a host of an older plugin API. */
	extract_each(run, evt, false, &line);
	put(&line, "}");
	emit(&line);
}

/* Checks, counts and prints one event. Returns NULL or an error message. */
static const char *check_event(struct run *run, const struct event *evt)
{
	const unsigned char *data;
	size_t n;

	if (!evt)
		return "a NULL event";
	if (evt->len < sizeof *evt)
		return "an event shorter than its header";
	if (run->lib->id) {
		const struct plugin_event *whole = (const void *)evt;

		if (evt->type != TYPE_PLUGIN_EVENT)
			return "an event of a wrong type";
		if (evt->nparams != 2)
			return "an event without exactly two parameters";
		if (evt->len < sizeof *whole || whole->id_len != 4 ||
		    whole->data_len != evt->len - sizeof *whole)
			return "an event with wrong lengths";
		if (whole->id != 0 && whole->id != run->lib->id)
			return "an event with the id of another plugin";
		data = whole->data;
		n = whole->data_len;
	} else {
		data = (const unsigned char *)evt + sizeof *evt;
		n = evt->len - sizeof *evt;
	}
	run->events++;
	run->last = evt;
	run->bytes += n;
	if (run->keep) {
		if (run->payloads.len)
			put_bytes(&run->payloads, ",", 1);
		put_base64(&run->payloads, data, n);
	}
	if (run->parse && run->lib->api.parse_event)
		run_parse(run, evt);
	if (run->print)
		print_event(run, evt, data, n);
	if (run->requests)
		print_fields(run, evt);
	return NULL;
}

/* Reads one batch. Returns false at the end of the run. Events that come together with an end are counted. */
bool run_step(struct run *run)
{
	uint32_t n = GARBAGE_N;
	struct event **events = GARBAGE_PTR;
	int rc;

	if (run->end)
		return false;
	rc = run->lib->api.next_batch(run->state, run->instance, &n, &events);
	run->calls++;
	run->last = NULL;
	if (n == GARBAGE_N) {
		run_failed(run, "next_batch", "nevts was not set");
		return false;
	}
	if (n && events == GARBAGE_PTR) {
		run_failed(run, "next_batch", "evts was not set");
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		const char *wrong = check_event(run, events[i]);

		if (wrong) {
			run_failed(run, "next_batch", wrong);
			return false;
		}
	}
	run->empty = rc == RC_TIMEOUT && n == 0 ? run->empty + 1 : 0;
	if (rc == RC_SUCCESS && n == 0)
		run_failed(run, "next_batch", "success with no event");
	else if (rc == RC_EOF)
		run_stop(run, NULL, "eof", NULL);
	else if (rc != RC_SUCCESS && rc != RC_TIMEOUT)
		run_plugin_failed(run, "next_batch");
	return !run->end;
}

void run_drain(struct run *run)
{
	int limit = max_timeouts();
	const char *text = getenv("HOST_EVENTS");
	uint64_t enough = text ? (uint64_t)parse_count(text) : UINT64_MAX;

	while (run_step(run))
		if (run->events >= enough)
			run_stop(run, NULL, "enough", NULL);
		else if (run->empty >= limit)
			run_stop(run, NULL, "timeout", NULL);
}

void run_close(struct run *run)
{
	if (run->instance)
		run->lib->api.close(run->state, run->instance);
	run->instance = NULL;
}

void run_destroy(struct run *run)
{
	if (run->state)
		run->lib->api.destroy(run->state);
	run->state = NULL;
}

bool run_has_failed(const struct run *run)
{
	return !run->end || strcmp(run->end, "failure") == 0;
}

/* Appends the JSON members of a run, without braces. Frees the payloads, and sets the exit status after a failure. */
void put_run(struct text *t, struct run *run)
{
	put(t, "\"name\":");
	put_string(t, run->lib->name);
	put(t, ",\"events\":%llu,\"bytes\":%llu", (unsigned long long)run->events,
	    (unsigned long long)run->bytes);
	if (run->keep) {
		put(t, ",\"payloads\":[");
		put_bytes(t, run->payloads.data, run->payloads.len);
		put(t, "]");
	}
	put(t, ",\"end\":");
	put_string(t, run->end);
	put(t, ",\"stage\":");
	put_string(t, run->stage);
	put(t, ",\"error\":");
	put_string(t, run->error[0] ? run->error : NULL);
	if (run_has_failed(run))
		fail("%s: %s", run->stage ? run->stage : "run", run->error);
	free(run->payloads.data);
	memset(&run->payloads, 0, sizeof run->payloads);
}

/* Calls init, open, next_batch to the end, close and destroy on this thread. */
void run_whole(struct run *run)
{
	if (run_init(run) && run_open(run))
		run_drain(run);
	run_close(run);
	run_destroy(run);
}

void *drain_thread(void *run)
{
	run_drain(run);
	return NULL;
}

void *step_thread(void *run)
{
	run_step(run);
	return NULL;
}

pthread_t spawn(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument))
		die("cannot start a thread");
	return thread;
}

void join(pthread_t thread)
{
	if (pthread_join(thread, NULL))
		die("cannot join a thread");
}
