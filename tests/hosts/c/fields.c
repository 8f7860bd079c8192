/* Fields: reads requests, extracts values, and makes events from payloads. */
#define _GNU_SOURCE
#include "host.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of res_len before a call. */
#define GARBAGE_LEN 0xA5A5A5A5A5A5A5A5u
/* Every nonzero flag is true. */
#define TRUE_FLAG 0x100u

/* Reads one request from each line: id, type, list, present, index, name, and a key, which may contain spaces. */
struct requests read_requests(char *text)
{
	struct requests requests = {0};
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct request *request;
		int end = 0;

		requests.all = checked(realloc(requests.all, (requests.count + 1) * sizeof *request));
		request = &requests.all[requests.count++];
		sscanf(line, "%" SCNu32 " %" SCNu32 " %d %d %" SCNu64 " %255s%n", &request->id, &request->type,
		       &request->list, &request->present, &request->index, request->name, &end);
		if (!end)
			die("a field has to be: ID TYPE LIST PRESENT INDEX NAME [KEY]");
		request->key = line[end] ? line + end + 1 : NULL;
	}
	return requests;
}

static void overwrite_and_free(const char *text)
{
	char *memory = (char *)text;

	if (memory)
		memset(memory, '#', strlen(memory));
	free(memory);
}

static void put_value(struct text *line, const struct extract_field *field, uint64_t i)
{
	const struct byte_buffer *buffer = &field->res.buffer[i];
	char text[INET6_ADDRSTRLEN];

	switch (field->ftype) {
	case FIELD_STRING:
		if (!field->res.text[i])
			fail("%s: a NULL string", field->field);
		put_string(line, field->res.text[i]);
		break;
	case FIELD_UINT64:
	case FIELD_ABSTIME:
	case FIELD_RELTIME:
		put(line, "%" PRIu64, field->res.number[i]);
		break;
	case FIELD_BOOL:
		if (field->res.boolean[i] > 1)
			fail("%s: a bool that is %" PRIu32, field->field, field->res.boolean[i]);
		put(line, field->res.boolean[i] ? "true" : "false");
		break;
	case FIELD_IPADDR:
	case FIELD_IPNET:
		if (buffer->len != 4 && buffer->len != 16) {
			fail("%s: an address of %" PRIu32 " bytes", field->field, buffer->len);
			put(line, "null");
		} else {
			inet_ntop(buffer->len == 4 ? AF_INET : AF_INET6, buffer->ptr, text, sizeof text);
			put_string(line, text);
		}
		break;
	default:
		die("unknown field type");
	}
}

static void put_numbers(struct text *line, const char *name, const uint32_t *numbers, uint64_t n)
{
	put(line, ",\"%s\":%s", name, numbers ? "[" : "null");
	for (uint64_t i = 0; numbers && i < n; i++)
		put(line, i ? ",%" PRIu32 : "%" PRIu32, numbers[i]);
	if (numbers)
		put(line, "]");
}

/* Appends the JSON members of an extracted field, and checks what a host relies on. */
static void put_field(struct text *line, const struct extract_field *field, const struct value_offsets *places)
{
	uint64_t n = field->res_len;

	put(line, "\"field\":");
	put_string(line, field->field);
	if (n == GARBAGE_LEN) {
		fail("%s: res_len was not set", field->field);
		n = 0;
	} else if (n && (!field->res.any || field->res.any == GARBAGE_PTR)) {
		fail("%s: values without memory", field->field);
		n = 0;
	} else if (n > 1 && !field->flist) {
		fail("%s: %" PRIu64 " values of a field that is not a list", field->field, n);
	}
	put(line, ",\"values\":%s", n ? "[" : "null");
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			put(line, ",");
		put_value(line, field, i);
	}
	if (n)
		put(line, "]");
	if (!places->start != !places->length)
		fail("%s: only one of the two arrays of value offsets", field->field);
	put_numbers(line, "starts", places->start, n);
	put_numbers(line, "lengths", places->length, n);
}

/* Extracts fields of one event in one call. Overwrites the arguments afterwards: the plugin must not keep them. */
void extract(struct run *run, const struct event *evt, const struct request *requests, size_t count,
		    bool with_places, struct text *line)
{
	struct extract_field *fields = checked(calloc(count + 1, sizeof *fields));
	struct extract_field *before = checked(calloc(count + 1, sizeof *fields));
	struct value_offsets places = { NULL, NULL };
	struct event_input event = { evt, run->events, run->lib->source ? run->lib->source : "other" };
	struct extract_input in = {
		.owner = run,
		.get_owner_last_error = on_owner_error,
		.num_fields = (uint32_t)count,
		.fields = fields,
		.value_offsets = with_places ? &places : NULL,
	};
	int rc;

	for (size_t i = 0; i < count; i++) {
		const struct request *request = &requests[i];

		fields[i] = (struct extract_field){
			.res.any = GARBAGE_PTR,
			.res_len = GARBAGE_LEN,
			.field_id = request->id,
			.field = copy_string(request->name),
			.arg_key = copy_string(request->key),
			.arg_index = request->index,
			.arg_present = request->present ? TRUE_FLAG : 0,
			.ftype = request->type,
			.flist = request->list ? TRUE_FLAG : 0,
		};
		memcpy(&before[i], &fields[i], sizeof *fields);
	}
	rc = run->lib->api.extract_fields(run->state, &event, &in);
	put(line, "\"rc\":%d,\"error\":", rc);
	put_string(line, rc == RC_SUCCESS ? NULL : run->lib->api.get_last_error(run->state));
	put(line, ",\"fields\":[");
	for (size_t i = 0; i < count; i++) {
		overwrite_and_free(fields[i].arg_key);
		before[i].res = fields[i].res;
		before[i].res_len = fields[i].res_len;
		if (memcmp(&before[i], &fields[i], sizeof *fields) != 0)
			fail("%s: the plugin changed the request", requests[i].name);
		if (rc != RC_SUCCESS)
			fields[i].res_len = 0;
		put(line, i ? ",{" : "{");
		put_field(line, &fields[i], &places);
		put(line, "}");
	}
	put(line, "]");
	for (size_t i = 0; i < count; i++)
		overwrite_and_free(fields[i].field);
	free(fields);
	free(before);
}

/* Extracts each field in its own call, as the real host does. */
void extract_each(struct run *run, const struct event *evt, bool places, struct text *line)
{
	put(line, "\"calls\":[");
	for (size_t i = 0; i < run->requests->count; i++) {
		put(line, i ? ",{" : "{");
		extract(run, evt, &run->requests->all[i], 1, places, line);
		put(line, "}");
	}
	put(line, "]");
}

/* Makes an event from a payload in hexadecimal digits. Its memory ends where the event ends. */
static struct plugin_event *make_event(const char *hex)
{
	size_t n = strlen(hex) / 2;
	struct plugin_event *evt = checked(calloc(1, sizeof *evt + n));

	evt->header = (struct event){ 1, UINT64_MAX, (uint32_t)(sizeof *evt + n), TYPE_PLUGIN_EVENT, 2 };
	evt->id_len = 4;
	evt->data_len = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &evt->data[i]) != 1)
			die("a payload has to be hexadecimal digits");
	return evt;
}

/* Makes events from payloads that are joined by commas. */
struct events make_events(const char *payloads)
{
	struct events events = {0};
	char *text = copy_string(payloads), *rest = text, *hex;

	while ((hex = strsep(&rest, ","))) {
		events.all = checked(realloc(events.all, (events.count + 1) * sizeof *events.all));
		events.all[events.count++] = make_event(hex);
	}
	free(text);
	return events;
}

void free_events(struct events *events)
{
	for (size_t i = 0; i < events->count; i++)
		free(events->all[i]);
	free(events->all);
}

/* Initialises a library with fields, or ends the program. */
void init_or_die(struct run *run, struct lib *lib, char *config, const struct requests *requests)
{
	run_start(run, lib, "");
	run->config = config;
	run->requests = requests;
	if (!lib->api.extract_fields)
		die("the plugin has no fields");
	if (!run_init(run))
		die(run->error);
}
