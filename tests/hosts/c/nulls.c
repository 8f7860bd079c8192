/* The command nulls: calls each function without the handles that it takes. */
#define _GNU_SOURCE
#include "host.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int on_async(void *owner, const struct event *evt, char *err)
{
	(void)owner, (void)evt, (void)err;
	return RC_SUCCESS;
}

static const char *volatile calling = "";

static void on_crash(int signal)
{
	static const char before[] = "host: crashed in plugin_", after[] = "\n";
	ssize_t done = 0;

	(void)signal;
	done += write(STDERR_FILENO, before, sizeof before - 1);
	done += write(STDERR_FILENO, calling, strlen(calling));
	done += write(STDERR_FILENO, after, sizeof after - 1);
	_exit(done ? 1 : 1);
}

struct nulls {
	int calls;
	struct text unset; /* calls that did not set an out-parameter */
	struct text given; /* calls that returned success without a handle */
};

/* Calls the functions that take a state and an instance. One of the two is NULL, or both are. */
static void call_with_instance(struct lib *lib, void *state, void *instance, struct nulls *seen)
{
	if (lib->api.get_progress) {
		uint32_t pct = GARBAGE_N;

		calling = "get_progress";
		lib->api.get_progress(state, instance, &pct);
		seen->calls++;
		if (pct == GARBAGE_N)
			put_name(&seen->unset, calling);
	}
	if (lib->api.next_batch) {
		uint32_t n = GARBAGE_N;
		struct event **events = GARBAGE_PTR;
		int rc;

		calling = "next_batch";
		rc = lib->api.next_batch(state, instance, &n, &events);
		seen->calls++;
		if (n == GARBAGE_N)
			put_name(&seen->unset, calling);
		if (rc == RC_SUCCESS)
			put_name(&seen->given, calling);
	}
	if (lib->api.close) {
		calling = "close";
		lib->api.close(state, instance);
		seen->calls++;
	}
}

static void call_without_state(struct lib *lib, struct nulls *seen)
{
	static const unsigned char payload[] = "{}";
	const size_t length = sizeof payload - 1;
	struct plugin_event *evt = checked(calloc(1, sizeof *evt + length));
	struct event_input event = { &evt->header, 1, lib->source };
	struct extract_input extract;
	struct parse_input parse;
	struct listen_input listen;
	struct set_config_input config = { "{}" };
	uint32_t n;
	int rc, owner = 0;

	evt->header.ts = 1;
	evt->header.tid = UINT64_MAX;
	evt->header.len = (uint32_t)(sizeof *evt + length);
	evt->header.type = TYPE_PLUGIN_EVENT;
	evt->header.nparams = 2;
	evt->id_len = 4;
	evt->data_len = (uint32_t)length;
	evt->id = lib->id;
	memcpy(evt->data, payload, length);
	memset(&extract, 0, sizeof extract);
	memset(&parse, 0, sizeof parse);
	memset(&listen, 0, sizeof listen);
	extract.owner = parse.owner = listen.owner = &owner;
	extract.get_owner_last_error = parse.get_owner_last_error = on_owner_error;
	listen.get_owner_last_error = on_owner_error;

/* If the plugin has the function: stores its name, then calls it. */
#define CALL(name, ...)                                                                            \
	if (lib->api.name) {                                                                       \
		calling = #name;                                                                   \
		seen->calls++;                                                                     \
		__VA_ARGS__;                                                                       \
	}
#define SET_N(name, ...)                                                                           \
	n = GARBAGE_N;                                                                             \
	CALL(name, __VA_ARGS__; if (n == GARBAGE_N) put_name(&seen->unset, calling))
#define SET_RC(name, ...)                                                                          \
	rc = GARBAGE_RC;                                                                           \
	CALL(name, __VA_ARGS__; if (rc == GARBAGE_RC) put_name(&seen->unset, calling))

	CALL(get_required_event_schema_version, lib->api.get_required_event_schema_version(NULL))
	CALL(get_last_error, lib->api.get_last_error(NULL))
	SET_RC(list_open_params, lib->api.list_open_params(NULL, &rc))
	SET_RC(open, if (lib->api.open(NULL, "", &rc) || rc == RC_SUCCESS)
			     put_name(&seen->given, calling))
	CALL(event_to_string, lib->api.event_to_string(NULL, &event))
	SET_N(get_extract_event_types, lib->api.get_extract_event_types(&n, NULL))
	CALL(extract_fields, lib->api.extract_fields(NULL, &event, &extract))
	SET_N(get_parse_event_types, lib->api.get_parse_event_types(&n, NULL))
	CALL(parse_event, lib->api.parse_event(NULL, &event, &parse))
	CALL(set_async_event_handler, lib->api.set_async_event_handler(NULL, &owner, on_async))
	CALL(set_async_event_handler, lib->api.set_async_event_handler(NULL, &owner, NULL))
	CALL(dump_state, lib->api.dump_state(NULL, &owner, on_async))
	CALL(set_config, lib->api.set_config(NULL, &config))
	SET_N(get_metrics, lib->api.get_metrics(NULL, &n))
	CALL(capture_open, lib->api.capture_open(NULL, &listen))
	CALL(capture_close, lib->api.capture_close(NULL, &listen))
#undef SET_RC
#undef SET_N
#undef CALL
	call_with_instance(lib, NULL, NULL, seen);
	calling = "destroy";
	lib->api.destroy(NULL);
	seen->calls++;
	free(evt);
}

void do_nulls(char **a)
{
	const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct nulls seen = {0};
	struct lib lib;
	struct run run;
	struct text line = {0};
	bool opened = false;

	open_or_die(&lib, a[0]);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], on_crash);
	call_without_state(&lib, &seen); /* before any init */
	run_start(&run, &lib, "");
	calling = "init";
	if (run_init(&run)) {
		call_without_state(&lib, &seen);
		call_with_instance(&lib, run.state, NULL, &seen);
		calling = "open";
		opened = run_open(&run);
		if (opened) {
			/* close without a state may have freed the instance: do not use it again. */
			call_with_instance(&lib, NULL, run.instance, &seen);
			run.instance = NULL;
		}
	}
	calling = "destroy";
	run_destroy(&run);
	put(&line, "{\"ok\":true,\"calls\":%d,\"opened\":%s,\"unset\":[", seen.calls,
	    opened ? "true" : "false");
	put_bytes(&line, seen.unset.data, seen.unset.len);
	put(&line, "],\"success\":[");
	put_bytes(&line, seen.given.data, seen.given.len);
	put(&line, "]}");
	calling = "(unloading)";
	lib_close(&lib);
	emit(&line);
	free(seen.unset.data);
	free(seen.given.data);
}
