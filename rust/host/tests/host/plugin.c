// A plugin that follows its open parameters. With -D flags it breaks the rules of the plugin API.
//
// The parameters are steps, one for each call of next_batch. A step is a letter for the return code (s success, t timeout,
// e EOF, f failure, x an unknown code), a number of events, and after a colon a fault of the last event, a payload, or
// something else to do. If a * follows the last step, it repeats indefinitely; otherwise EOF follows.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NAME
#define NAME "sample"
#endif
#ifndef API
#define API "3.0.0"
#endif
#ifndef ID
#define ID 999
#endif
#ifndef SOURCE
#define SOURCE "test"
#endif

typedef struct {
	const char* config;
	void* owner;
	const char* (*get_owner_last_error)(void*);
	const void* tables;
	void (*log)(void* owner, const char* component, const char* message, int severity);
} input;

typedef struct {
	input in;
	char error[2048];
	bool met;
} plugin;

typedef struct {
	char* steps;
	char* at;
	unsigned char* memory;
	unsigned char* events[1000];
} instance;

// Logs a line and never returns.
static void hang(plugin* p) {
	p->in.log(p->in.owner, NULL, "hanging", 6);
	for(;;) pause();
}

// Appends a call, and whether it is on another thread than the first one, to the file that TRACE names.
static void trace(const char* what) {
	static pthread_t first;
	static bool known;
	if(!known) {
		first = pthread_self();
		known = true;
	}
	const char* path = getenv("TRACE");
	if(path == NULL) return;
	FILE* file = fopen(path, "a");
	fprintf(file, "%s%s\n", what, pthread_equal(first, pthread_self()) ? "" : " elsewhere");
	fclose(file);
}

const char* plugin_get_required_api_version() { return API; }
const char* plugin_get_description() { return "Follows its open parameters"; }
const char* plugin_get_contact() { return "nobody"; }
const char* plugin_get_version() { return "1.2.3"; }
#ifndef NO_NAME
const char* plugin_get_name() { return NAME; }
#endif

void* plugin_init(const input* in, int32_t* rc) {
	trace("init");
	if(strcmp(in->config, "unset") == 0) return NULL;
	*rc = 1;
	if(strcmp(in->config, "null") == 0) return NULL;
	plugin* p = calloc(1, sizeof(plugin));
	p->in = *in;
	p->in.config = strdup(in->config);
	if(strcmp(in->config, "fail") == 0) {
		strcpy(p->error, "no such thing\nat all");
	} else if(strcmp(in->config, "long") == 0) {
		memset(p->error, 'x', 2000);
	} else if(strcmp(in->config, "silent") != 0) {
		*rc = 0;
	}
	if(strcmp(in->config, "log") == 0) {
		in->log(in->owner, NULL, "first \"line\"\nsecond", 4);
		in->log(in->owner, "component", "hello", 6);
	}
#if defined(FIELDS) || defined(PARSES)
	if(in->tables == NULL) abort();
#else
	if(in->tables != NULL) abort();
#endif
	if(in->get_owner_last_error(in->owner) != NULL) abort();
	return p;
}

void plugin_destroy(plugin* p) {
	trace("destroy");
	free(p);
}

const char* plugin_get_last_error(plugin* p) { return p->error; }

#ifdef SCHEMA
const char* plugin_get_init_schema(uint32_t* type) {
	*type = 1;
	return SCHEMA;
}
#endif

#ifdef METRICS
typedef struct {
	const char* name;
	uint32_t type;
	union {
		uint32_t u32;
		int32_t s32;
		uint64_t u64;
		int64_t s64;
		double d;
		float f;
		int i;
	} value;
	uint32_t value_type;
} metric;

// The configuration chooses a fault.
metric* plugin_get_metrics(plugin* p, uint32_t* count) {
	trace("get_metrics");
	static metric metrics[] = {
		{"u32", 0, {.u32 = UINT32_MAX}, 0},
		{"s32", 1, {.s32 = -32}, 1},
		{"u64", 0, {.u64 = UINT64_MAX}, 2},
		{"s64", 1, {.s64 = INT64_MIN}, 3},
		{"d", 1, {.d = 0.25}, 4},
		{"f", 1, {.f = 0.5}, 5},
		{"i\n", 1, {.i = -1}, 6},
	};
	const char* how = p->in.config;
#define CONFIG(text) (strcmp(how, text) == 0)
	if(CONFIG("metrics unset")) return metrics;
	*count = CONFIG("metrics none") ? 0 : CONFIG("metrics many") ? 100000 : sizeof(metrics) / sizeof(metrics[0]);
	if(CONFIG("metrics null") || CONFIG("metrics none")) return NULL;
	metrics[1].name = CONFIG("metrics unnamed") ? NULL : "s32";
	metrics[1].type = CONFIG("metrics type") ? 7 : 1;
	metrics[1].value_type = CONFIG("metrics value") ? 8 : 1;
	return metrics;
}
#endif

#ifdef SET_CONFIG
typedef struct {
	const char* config;
} set_config_input;

int32_t plugin_set_config(plugin* p, const set_config_input* in) {
	trace("set_config");
	if(strcmp(in->config, "refused") == 0) {
		strcpy(p->error, "no such configuration");
		return 1;
	}
	p->in.log(p->in.owner, NULL, in->config, 6);
	return 0;
}
#endif

#ifdef FIELDS
const char* plugin_get_fields() { return FIELDS; }
#ifndef SOURCES
#define SOURCES "[\"test\", \"other\"]"
#endif
const char* plugin_get_extract_event_sources() { return SOURCES; }

#ifdef EVENT_TYPES
const uint16_t* plugin_get_extract_event_types(uint32_t* count, void* p) {
	static const uint16_t types[] = {EVENT_TYPES};
	*count = sizeof(types) / sizeof(types[0]);
	return types;
}
#endif

// Waits, at the first call for a state, until another thread makes such a call for another state. Returns whether one did.
static bool meet(plugin* p) {
	static atomic_int arrived;
	if(!p->met) arrived++;
	p->met = true;
	for(int wait = 0; arrived < 2 && wait < 10000; wait++) usleep(1000);
	return arrived >= 2;
}

typedef struct {
	uint32_t length;
	const void* bytes;
} buffer;

typedef struct {
	void* values;
	uint64_t count;
	uint32_t id;
	const char* name;
	const char* key;
	uint64_t index;
	uint32_t present;
	uint32_t type;
	uint32_t list;
} field;

typedef struct {
	void* owner;
	const char* (*get_owner_last_error)(void*);
	uint32_t count;
	field* fields;
	void* table_reader[4];
	void* table_reader_ext;
	void* places;
} extract_input;

typedef struct {
	unsigned char* event;
	uint64_t number;
	const char* source;
} extract_event;

// The last part of a field's name chooses its values.
int32_t plugin_extract_fields(plugin* p, const extract_event* event, extract_input* in) {
	static const char* texts[] = {"one", "t\two", "\"three\"", NULL, "\xff\xfe"};
	static uint64_t numbers[] = {1700000000123456789u, 7, UINT64_MAX};
	static uint32_t bools[] = {1, 0, 2};
	static const unsigned char bytes[] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	static buffer addresses[] = {{4, "\x0a\0\0\1"}, {16, bytes}, {5, bytes}, {4, NULL}};
	static char arguments[300];
	static const char* argument_list[] = {arguments};
	field* f = in->fields;
	if(in->count != 1 || in->places != NULL) abort();
	if(in->get_owner_last_error(in->owner) != NULL || in->table_reader_ext == NULL) abort();
	const char* what = strrchr(f->name, '.') + 1;
#define IS(text) (strcmp(what, text) == 0)
#define SET(array, first, number) \
	do { \
		f->values = (array) + (first); \
		f->count = (number); \
	} while(0)
	if(IS("fails")) return 1;
	if(IS("strange")) return 9;
	if(IS("unset")) return 0;
	if(IS("string")) SET(texts, 0, 1);
	if(IS("strings")) SET(texts, 0, 3);
	if(IS("nothing")) SET(texts, 0, 0);
	if(IS("some") && event->number % 2 == 0) SET(texts, 0, 1);
	if(IS("some") && event->number % 2 == 1) return 1;
	if(IS("meets") && meet(p)) SET(texts, 0, 1);
	if(IS("nullstring")) SET(texts, 0, 4);
	if(IS("latin")) SET(texts, 4, 1);
	if(IS("uint64")) SET(numbers, 2, 1);
	if(IS("abstime")) SET(numbers, 0, 1);
	if(IS("reltimes")) SET(numbers, 0, 2);
	if(IS("bools")) SET(bools, 0, 2);
	if(IS("bool2")) SET(bools, 2, 1);
	if(IS("ipaddr")) SET(addresses, 0, 1);
	if(IS("ipnets")) SET(addresses, 0, 2);
	if(IS("ip5")) SET(addresses, 2, 1);
	if(IS("ipnull")) SET(addresses, 3, 1);
	if(IS("several")) SET(texts, 0, 2);
	if(IS("toomany")) SET(texts, 0, (uint64_t)1 << 40);
	if(IS("null")) SET((char*)NULL, 0, 1);
	if(IS("onlycount")) f->count = 1;
	if(IS("unaligned")) SET((char*)texts, 1, 1);
	if(IS("args") || IS("index") || IS("key") || IS("both") || IS("argslist")) {
		snprintf(arguments, sizeof(arguments), "%d %d %d %s %lld %u %u %u %s %.5s", (int)event->number, f->id, f->type,
			f->key ? f->key : "NULL", (long long)f->index, f->present, f->list, (unsigned)p->in.config[0], event->source,
			event->event + 38);
		SET(argument_list, 0, 1);
	}
	return 0;
}
#endif

#ifdef PARSES
// Writes each event to the file that TRACE names. PARSES is a list of event types, and may be empty.
const uint16_t* plugin_get_parse_event_types(uint32_t* count, void* p) {
	static const uint16_t types[] = {PARSES};
	*count = sizeof(types) / sizeof(types[0]);
	return types;
}

#ifdef PARSE_SOURCES
const char* plugin_get_parse_event_sources() { return PARSE_SOURCES; }
#endif

typedef struct {
	unsigned char* event;
	uint64_t number;
	const char* source;
} parse_event;

typedef struct {
	void* owner;
	const char* (*get_owner_last_error)(void*);
	void* tables[10];
	void* reader_ext;
	void* writer_ext;
} parse_input;

int32_t plugin_parse_event(plugin* p, const parse_event* event, const parse_input* in) {
	uint16_t type;
	memcpy(&type, event->event + 20, 2);
	char line[200];
	snprintf(line, sizeof(line), NAME " parses %d of %s: %d", (int)event->number, event->source, type);
	const char* path = getenv("TRACE");
	if(path != NULL) {
		FILE* file = fopen(path, "a");
		fprintf(file, "%s\n", line);
		fclose(file);
	}
	if(in->owner != p->in.owner || in->get_owner_last_error(in->owner) != NULL) abort();
	if(in->reader_ext == NULL || in->writer_ext == NULL) abort();
	return strcmp(p->in.config, "parse fails") == 0 ? 1 : strcmp(p->in.config, "parse strange") == 0 ? 9 : 0;
}
#endif

#ifndef NO_SOURCE
uint32_t plugin_get_id() { return ID; }
const char* plugin_get_event_source() { return SOURCE; }

void* plugin_open(plugin* p, const char* params, int32_t* rc) {
	trace("open");
	if(strcmp(params, "unset") == 0) return NULL;
	if(strcmp(params, "hang") == 0) hang(p);
	*rc = 1;
	if(strcmp(params, "fail") == 0) {
		strcpy(p->error, "cannot open that");
		return NULL;
	}
	if(strcmp(params, "long") == 0) {
		memset(p->error, 'x', 2000);
		return NULL;
	}
	*rc = 0;
	instance* i = calloc(1, sizeof(instance));
	i->at = i->steps = strcmp(params, "config") == 0 ? strdup(p->in.config) : strdup(params);
	i->memory = malloc(1000 * 512);
	return i;
}

#ifndef NO_CLOSE
void plugin_close(plugin* p, instance* i) {
	trace("close");
	if(i == NULL) return;
	free(i->steps);
	free(i->memory);
	free(i);
}
#endif

static void put(unsigned char* at, const void* value, size_t size) { memcpy(at, value, size); }

static void write_event(unsigned char* at, const char* how) {
	bool is = how != NULL;
#define HOW(text) (is && strncmp(how, text, strlen(text)) == 0)
	static char big[300];
	char payload[300] = "hello";
	uint32_t size = 5;
	if(HOW("lines")) {
		size = 14;
		memcpy(payload, "a\n\"b\"\\\r\tc\0d\x1b[m", size);
	} else if(HOW("bytes")) {
		size = 6;
		memcpy(payload, "ab\xff\xfe\0c", size);
	} else if(HOW("json")) {
		size = 35;
		memcpy(payload, "{\"text\": \"01234567890123456789012\"}", size);
	} else if(HOW("utf8")) {
		size = 35;
		memcpy(payload, "{\"text\": \"012345678901234567890\xff\xfe\"}", size);
	} else if(HOW("cut")) {
		size = 7;
		memcpy(payload, "{\"a\": 1", size);
	} else if(HOW("empty")) {
		size = 0;
	} else if(HOW("big")) {
		size = sizeof(big);
		for(uint32_t i = 0; i < size && big[size - 1] == 0; i++) big[i] = i % 20 == 10 ? '"' : 'a' + i % 26;
		memcpy(payload, big, size);
	}
	uint64_t absent = UINT64_MAX, ts = HOW("now") ? absent : 1700000000123456789u, tid = 42;
	uint16_t type = HOW("type") ? 5 : 322;
	uint32_t count = HOW("count") ? 3 : 2;
	uint32_t first = HOW("first") ? 5 : 4;
	uint32_t id = HOW("id") ? 7 : HOW("own") ? ID : 0;
	uint32_t length = 38 + size;
	if(HOW("short")) length = 30;
	if(HOW("length")) {
		length = 50;
		size = 22;
	}
	if(HOW("first")) length += 1;
	put(at, &ts, 8);
	put(at + 8, &tid, 8);
	put(at + 16, &length, 4);
	put(at + 20, &type, 2);
	put(at + 22, &count, 4);
	put(at + 26, &first, 4);
	put(at + 30, &size, 4);
	put(at + 34, &id, 4);
	memcpy(at + 38, payload, size);
}

int32_t plugin_next_batch(plugin* p, instance* i, uint32_t* count, unsigned char*** events) {
	static int calls;
	if(calls++ == 0) trace("next_batch");
	if(*i->at == '\0') {
		*count = 0;
		return 2;
	}
	char* step = i->at;
	char* end = strchr(step, ' ');
	bool again = strchr(step, '*') != NULL && strchr(step, '*') < (end ? end : step + strlen(step));
	if(!again) i->at = end ? end + 1 : step + strlen(step);
	char code = *step++;
	char* how = NULL;
	uint32_t number = strtoul(step, &how, 10);
	how = *how == ':' ? how + 1 : NULL;
	bool is = how != NULL;
	if(HOW("sleep")) usleep(1000 * strtoul(how + 5, NULL, 10));
	if(HOW("hang")) hang(p);
	if(HOW("log")) p->in.log(p->in.owner, NULL, "from next_batch", 3);
	for(uint32_t n = 0; n < number && n < 1000; n++) {
		bool fault = is && (HOW("type") || HOW("count") || HOW("first") || HOW("id") || HOW("short") || HOW("length"));
		i->events[n] = i->memory + n * 512;
		write_event(i->events[n], fault && n + 1 < number ? NULL : how);
	}
	if(HOW("null")) i->events[number - 1] = NULL;
	if(!HOW("nevts")) *count = number;
	if(!HOW("evts")) *events = HOW("noarray") ? NULL : i->events;
	if(code == 'f') strcpy(p->error, HOW("silent") ? "" : "it broke");
	if(HOW("kill")) kill(getpid(), atoi(how + 4));
	return code == 's' ? 0 : code == 't' ? -1 : code == 'e' ? 2 : code == 'f' ? 1 : 7;
}

#ifdef TO_STRING
typedef struct {
	unsigned char* event;
	uint64_t number;
	const char* source;
} event_input;

const char* plugin_event_to_string(plugin* p, const event_input* in) {
	static char text[200];
	uint64_t tid;
	uint32_t id;
	memcpy(&tid, in->event + 8, 8);
	memcpy(&id, in->event + 34, 4);
	p->in.log(p->in.owner, NULL, "from event_to_string", 7);
	sprintf(text, "%d of %s, tid %d, id %u", (int)in->number, in->source, (int)tid, id);
	return text;
}
#endif
#endif

#ifdef ASYNC
#ifndef NAMES
#define NAMES "[\"changed\"]"
#endif

typedef int32_t (*handler)(void* owner, const unsigned char* event, char* message);

const char* plugin_get_async_events() { return NAMES; }

static int32_t send_event(plugin* p, void* owner, handler send, const char* name, const char* data, uint64_t ts, char* message) {
	unsigned char event[500];
	bool wrong = strcmp(data, "wrong") == 0, buffer = strcmp(data, "buffer") != 0;
	uint64_t tid = strcmp(data, "thread") == 0 ? 1 : UINT64_MAX;
	uint16_t type = wrong ? 322 : 402;
	uint32_t count = 3, id_size = 4, name_size = strlen(name) + 1, size = strlen(data), id = 0;
	uint32_t length = 42 + name_size + size;
	memcpy(event, &ts, 8);
	memcpy(event + 8, &tid, 8);
	memcpy(event + 16, &length, 4);
	memcpy(event + 20, &type, 2);
	memcpy(event + 22, &count, 4);
	memcpy(event + 26, &id_size, 4);
	memcpy(event + 30, &name_size, 4);
	memcpy(event + 34, &size, 4);
	memcpy(event + 38, &id, 4);
	memcpy(event + 42, name, name_size);
	memcpy(event + 42 + name_size, data, size);
	return send(owner, event, buffer ? message : NULL);
}

// Sends an event that is refused, and logs the result.
static void send_refused(plugin* p, void* owner, handler send, const char* name, const char* data) {
	char message[1024] = "without a buffer", line[1100];
	sprintf(line, "%d", send_event(p, owner, send, name, data, UINT64_MAX, message));
	sprintf(line + strlen(line), " %s", message);
	p->in.log(p->in.owner, NULL, line, 6);
}

int32_t plugin_set_async_event_handler(plugin* p, void* owner, handler send) {
	trace(send == NULL ? "no handler" : "handler");
	char message[1024];
	bool fails = strcmp(p->in.config, send == NULL ? "no handler" : "handler") == 0;
	if(fails) strcpy(p->error, send == NULL ? "it stays" : "no handler");
	if(fails || send == NULL) return fails;
	if(strcmp(p->in.config, "send") == 0) {
		send_event(p, owner, send, "changed", "present", 1700000001000000000u, message);
		send_event(p, owner, send, "changed", "past", 1600000000000000000u, message);
		send_event(p, owner, send, "changed", "now", UINT64_MAX, message);
	}
	if(strcmp(p->in.config, "refused") == 0) {
		send_refused(p, owner, send, "other", "data");
		send_refused(p, owner, send, "changed", "wrong");
		send_refused(p, owner, send, "changed", "thread");
		send_refused(p, owner, send, "other", "buffer");
	}
	return 0;
}

int32_t plugin_dump_state(plugin* p, void* owner, handler send) {
	trace("dump_state");
	char message[1024];
	if(strcmp(p->in.config, "dump") == 0) {
		strcpy(p->error, "no state");
		return 1;
	}
	if(strcmp(p->in.config, "state") == 0) return send_event(p, owner, send, "changed", "state", 7, message);
	return 0;
}

typedef struct {
	void* owner;
	struct {
		void* (*subscribe)(void* owner, void* function, void* state);
		int32_t (*unsubscribe)(void* owner, void* routine);
	}* routine;
	void* table_reader;
	void* table_writer;
	const char* (*get_owner_last_error)(void*);
} listen_input;

static int32_t capture(plugin* p, const listen_input* in, const char* what, const char* error) {
	trace(what);
	// As in Falco, there is no thread pool.
	if(in->routine->subscribe(in->owner, NULL, p) != NULL || in->routine->unsubscribe(in->owner, p) == 0) abort();
	if(in->get_owner_last_error(in->owner) != NULL) abort();
	if(strcmp(p->in.config, what) != 0) return 0;
	strcpy(p->error, error);
	return 1;
}

int32_t plugin_capture_open(plugin* p, const listen_input* in) { return capture(p, in, "capture_open", "no capture"); }

int32_t plugin_capture_close(plugin* p, const listen_input* in) { return capture(p, in, "capture_close", "not yet"); }
#endif
