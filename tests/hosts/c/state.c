/* Calls of script: parsing, async events, and captures without a thread pool and without tables. */
#define _GNU_SOURCE
#include "host.h"

#include <stdlib.h>
#include <string.h>

enum { TYPE_ASYNC_EVENT = 402, ASYNC_NAME_AT = 42 };

/* Events of one receiver, as a JSON list without brackets. Only one receiver is open at one time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text received;
static bool open;

/* Returns NULL, or what is wrong with an async event. */
static const char *check(const struct event *evt, const char **data, size_t *length)
{
	const char *bytes = (const char *)evt;
	size_t name;

	if (evt->type != TYPE_ASYNC_EVENT || evt->nparams != 3 || evt->len <= ASYNC_NAME_AT)
		return "an event that is not async";
	name = strnlen(bytes + ASYNC_NAME_AT, evt->len - ASYNC_NAME_AT);
	if (ASYNC_NAME_AT + name >= evt->len)
		return "an async event whose name has no end";
	*data = bytes + ASYNC_NAME_AT + name + 1;
	*length = evt->len - (ASYNC_NAME_AT + name + 1);
	return NULL;
}

static int on_async(void *owner, const struct event *evt, char *err)
{
	const char *data = "", *wrong;
	char *text;
	size_t length = 0;

	(void)owner, (void)err;
	pthread_mutex_lock(&lock);
	wrong = open ? check(evt, &data, &length) : "an async event without a handler";
	if (wrong)
		fail("%s", wrong);
	text = checked(strndup(data, length));
	if (received.len)
		put(&received, ",");
	put_string(&received, text);
	free(text);
	pthread_mutex_unlock(&lock);
	return RC_SUCCESS;
}

static void begin(void)
{
	pthread_mutex_lock(&lock);
	open = true;
	pthread_mutex_unlock(&lock);
}

/* Prints what was received under a name. */
static void end(const char *name)
{
	struct text line = {0};

	pthread_mutex_lock(&lock);
	open = false;
	put(&line, "{\"%s\":[", name);
	put_bytes(&line, received.data, received.len);
	put(&line, "]}");
	free(received.data);
	memset(&received, 0, sizeof received);
	pthread_mutex_unlock(&lock);
	emit(&line);
}

/* Makes a call of a capture. Returns false if there is no such call. */
bool run_state_call(struct run *run, const char *call)
{
	struct listen_input input = { .owner = run, .get_owner_last_error = on_owner_error };
	int rc = RC_SUCCESS;

	if (strcmp(call, "set_async_event_handler") == 0) {
		begin();
		rc = run->lib->api.set_async_event_handler(run->state, run, on_async);
	} else if (strcmp(call, "reset_async_event_handler") == 0) {
		rc = run->lib->api.set_async_event_handler(run->state, run, NULL);
		end("sent");
	} else if (strcmp(call, "dump_state") == 0) {
		begin();
		rc = run->lib->api.dump_state(run->state, run, on_async);
		end("dumped");
	} else if (strcmp(call, "capture_open") == 0) {
		rc = run->lib->api.capture_open(run->state, &input);
	} else if (strcmp(call, "capture_close") == 0) {
		rc = run->lib->api.capture_close(run->state, &input);
	} else {
		return false;
	}
	if (rc != RC_SUCCESS)
		run_plugin_failed(run, call);
	return true;
}

/* Passes an event to the plugin, as the host does before it uses the event. The host ignores the result. */
void run_parse(struct run *run, const struct event *evt)
{
	struct event_input event = { evt, run->events, run->lib->source };
	struct parse_input input = { .owner = run, .get_owner_last_error = on_owner_error };
	int rc = run->lib->api.parse_event(run->state, &event, &input);

	if (rc != RC_SUCCESS && rc != RC_FAILURE)
		fail("parse_event returned %d", rc);
}
