/*
 * A small host for plugin libraries: it does to them what the real host does, in the orders and on
 * the threads that matter, and prints one JSON object a line. See `usage` for the subcommands.
 */
#define _GNU_SOURCE
#include "plugin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the out-parameters hold before a call: the plugin has to overwrite it on every path. */
#define GARBAGE_RC 0x5A5A5A5A
#define GARBAGE_N 0xA5A5A5A5u
#define GARBAGE_PTR ((void *)(uintptr_t)0xA5A5A5A5A5A5A5A5u)

/* A longer text is told by its length. */
#define LONGEST_TEXT 1048576

static const char usage[] =
	"usage: host cycle LIB N PARAMS | interleave LIB1 LIB2 PARAMS | race LIB1 LIB2 PARAMS |"
	" triple LIB PARAMS | threadend LIB PARAMS | replace LIB NEWLIB PARAMS |"
	" relative LIB PARAMS | initfail LIB CONFIG | log LIB CONFIG PARAMS | nulls LIB |"
	" symbols LIB | idle LIB PARAMS SECONDS | parallel LIB PARAMS N | static LIB |"
	" extract LIB CONFIG PARAMS FIELDS | replay LIB CONFIG FIELDS PAYLOADS |"
	" together LIB CONFIG FIELDS PAYLOADS | twins LIB CONFIG FIELDS PAYLOADS ROUNDS STATES |"
	" script LIB FIELDS CALLS"
	" (environment: HOST_CONFIG, HOST_TIMEOUTS, HOST_EVENTS, HOST_LOG, HOST_PAUSE_US)";

/* ---- Failure of the program ---- */

static int exit_status;

/* Says why on stderr, in one line; only the first failure is told. */
__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	char text[1600];
	va_list args;

	if (exit_status)
		return;
	exit_status = 1;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	fprintf(stderr, "host: %s\n", text);
}

__attribute__((noreturn)) static void die(const char *why)
{
	fail("%s", why);
	fflush(stdout);
	_exit(1);
}

static void *need(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > 1000000)
		die("a count has to be a number from 1 to 1000000");
	return value;
}

/* ---- Text that grows, and JSON ---- */

struct text {
	char *data;
	size_t len, room;
};

static void put_bytes(struct text *t, const void *bytes, size_t n)
{
	if (t->room - t->len < n + 1) {
		t->room = (t->len + n + 1) * 2;
		t->data = need(realloc(t->data, t->room));
	}
	if (n)
		memcpy(t->data + t->len, bytes, n);
	t->len += n;
	t->data[t->len] = '\0';
}

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
	char part[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(part, sizeof part, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof part)
		die("a part of the output is too long");
	put_bytes(t, part, (size_t)n);
}

/* The length of the valid UTF-8 sequence at s, or 0. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3
		   : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
	    (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return n;
}

static void put_string(struct text *t, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;

	if (!s) {
		put(t, "null");
		return;
	}
	if (strlen(value) > LONGEST_TEXT) {
		put(t, "{\"length\":%zu}", strlen(value));
		return;
	}
	put_bytes(t, "\"", 1);
	while (*s) {
		size_t n = utf8_len(s);

		if (!n) {
			put(t, "\\ufffd");
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			put(t, "\\%c", *s);
		} else if (*s < 0x20 || *s == 0x7F) {
			put(t, "\\u%04x", *s);
		} else {
			put_bytes(t, s, n);
		}
		s += n;
	}
	put_bytes(t, "\"", 1);
}

static void put_base64(struct text *t, const unsigned char *data, size_t n)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put_bytes(t, "\"", 1);
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0u);
		char four[4] = {
			letters[bits >> 18 & 63],
			letters[bits >> 12 & 63],
			left > 1 ? letters[bits >> 6 & 63] : '=',
			left > 2 ? letters[bits & 63] : '=',
		};
		put_bytes(t, four, 4);
	}
	put_bytes(t, "\"", 1);
}

/* Prints the line whole, whatever other threads print, and frees it. */
static void emit(struct text *t)
{
	put_bytes(t, "\n", 1);
	flockfile(stdout);
	fwrite(t->data, 1, t->len, stdout);
	fflush(stdout);
	funlockfile(stdout);
	free(t->data);
	memset(t, 0, sizeof *t);
}

/* ---- The log function of the owner ---- */

static atomic_bool show_logs, destroyed;
static atomic_int late_logs;

static void on_log(void *owner, const char *component, const char *msg, int severity)
{
	struct text line = {0};

	(void)owner;
	if (atomic_load(&destroyed))
		atomic_fetch_add(&late_logs, 1);
	if (atomic_load(&show_logs)) {
		put(&line, "{\"log\":{\"severity\":%d,\"component\":", severity);
		put_string(&line, component);
		put(&line, ",\"text\":");
		put_string(&line, msg);
		put(&line, "}}");
		emit(&line);
	} else if (getenv("HOST_LOG")) {
		fprintf(stderr, "log <%d> %s\n", severity, msg ? msg : "");
	}
}

static const char *on_owner_error(void *owner)
{
	(void)owner;
	return NULL;
}

static int on_async(void *owner, const struct event *evt, char *err)
{
	(void)owner, (void)evt, (void)err;
	return RC_SUCCESS;
}

/* ---- A library ---- */

struct lib {
	void *handle;
	char *name, *source;
	uint32_t id;
	bool json_schema;
#define MEMBER(type, name, args) type(*name) args;
	struct { PLUGIN_FUNCTIONS(MEMBER) } api;
#undef MEMBER
};

static char *copy(const char *text)
{
	return text ? need(strdup(text)) : NULL;
}

/* Opens the library and reads what a host reads before init. Returns NULL or what is wrong. */
static const char *lib_open(struct lib *lib, const char *path)
{
	int type = GARBAGE_RC;

	memset(lib, 0, sizeof *lib);
	lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle) {
		const char *why = dlerror();
		return why ? why : "dlopen failed";
	}
#define RESOLVE(type, name, args) *(void **)&lib->api.name = dlsym(lib->handle, "plugin_" #name);
	PLUGIN_FUNCTIONS(RESOLVE)
#undef RESOLVE
	if (!lib->api.init || !lib->api.destroy || !lib->api.get_last_error || !lib->api.get_name ||
	    !lib->api.get_version || !lib->api.get_description || !lib->api.get_contact ||
	    !lib->api.get_required_api_version)
		return "a required symbol is missing";
	lib->name = copy(lib->api.get_name());
	lib->id = lib->api.get_id ? lib->api.get_id() : 0;
	lib->source = copy(lib->api.get_event_source ? lib->api.get_event_source() : NULL);
	if (lib->api.get_init_schema) {
		lib->api.get_init_schema(&type);
		lib->json_schema = type == SCHEMA_JSON;
	}
	return NULL;
}

static void lib_close(struct lib *lib)
{
	if (lib->handle)
		dlclose(lib->handle);
	free(lib->name);
	free(lib->source);
	memset(lib, 0, sizeof *lib);
}

/* ---- A run: one state and one instance of a library ---- */

struct asked;

struct run {
	struct lib *lib;
	const char *config, *params;
	void *state, *instance;
	uint64_t events, bytes, calls;
	const struct event *last; /* valid until the next call */
	int empty;          /* timeouts without an event, one after the other */
	bool keep;          /* keep the payloads */
	bool print;         /* print every event */
	const struct asked *asked; /* print these fields of every event */
	struct text payloads;
	const char *stage;  /* where it failed */
	const char *end;    /* how it ended, NULL while it runs */
	char error[1200];
};

static int max_timeouts(void)
{
	const char *text = getenv("HOST_TIMEOUTS");
	return text ? (int)number(text) : 3;
}

static void run_start(struct run *run, struct lib *lib, const char *params)
{
	const char *config = getenv("HOST_CONFIG");

	memset(run, 0, sizeof *run);
	run->lib = lib;
	run->params = params;
	run->config = config ? config : "";
}

static void run_stop(struct run *run, const char *stage, const char *end, const char *error)
{
	run->stage = stage;
	run->end = end;
	snprintf(run->error, sizeof run->error, "%s", error ? error : "");
}

static void run_failed(struct run *run, const char *stage, const char *error)
{
	run_stop(run, stage, "failure", error);
}

static void run_plugin_failed(struct run *run, const char *stage)
{
	const char *error = run->state ? run->lib->api.get_last_error(run->state) : NULL;

	run_failed(run, stage, error && *error ? error : "(no error text)");
}

/* Init, with an input that is gone right after, as the plugin may not keep it. */
static bool run_init(struct run *run)
{
	int rc = GARBAGE_RC;
	const char *text = !*run->config && run->lib->json_schema ? "{}" : run->config;
	char *config = copy(text);
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

static bool run_open(struct run *run)
{
	int rc = GARBAGE_RC;
	char *params;

	if (run->end)
		return false;
	if (!run->lib->api.open || !run->lib->api.close || !run->lib->api.next_batch) {
		run_failed(run, "open", "the plugin is not a source");
		return false;
	}
	params = copy(run->params);
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

static void extract_each(struct run *run, const struct event *evt, bool places, struct text *line);

static void print_fields(struct run *run, const struct event *evt)
{
	struct text line = {0};

	put(&line, "{\"event\":%llu,", (unsigned long long)run->events);
	/* As from a host that does not know of value offsets. */
	extract_each(run, evt, false, &line);
	put(&line, "}");
	emit(&line);
}

/* Checks and takes one event. Returns NULL or what is wrong with it. */
static const char *take_event(struct run *run, const struct event *evt)
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
	if (run->print)
		print_event(run, evt, data, n);
	if (run->asked)
		print_fields(run, evt);
	return NULL;
}

/* One batch. False at the end of the run. Events count also where they come with an end. */
static bool run_step(struct run *run)
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
		const char *wrong = take_event(run, events[i]);

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

static void run_drain(struct run *run)
{
	int limit = max_timeouts();
	const char *text = getenv("HOST_EVENTS");
	uint64_t enough = text ? (uint64_t)number(text) : UINT64_MAX;

	while (run_step(run))
		if (run->events >= enough)
			run_stop(run, NULL, "enough", NULL);
		else if (run->empty >= limit)
			run_stop(run, NULL, "timeout", NULL);
}

static void run_close(struct run *run)
{
	if (run->instance)
		run->lib->api.close(run->state, run->instance);
	run->instance = NULL;
}

static void run_destroy(struct run *run)
{
	if (run->state)
		run->lib->api.destroy(run->state);
	run->state = NULL;
}

static bool run_bad(const struct run *run)
{
	return !run->end || strcmp(run->end, "failure") == 0;
}

/* The members that tell of a run, without braces; frees the payloads, and notes a failure. */
static void put_run(struct text *t, struct run *run)
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
	if (run_bad(run))
		fail("%s: %s", run->stage ? run->stage : "run", run->error);
	free(run->payloads.data);
	memset(&run->payloads, 0, sizeof run->payloads);
}

/* All of it, on this thread: init, open, drain, close, destroy. */
static void run_whole(struct run *run)
{
	if (run_init(run) && run_open(run))
		run_drain(run);
	run_close(run);
	run_destroy(run);
}

static void *drain_thread(void *run)
{
	run_drain(run);
	return NULL;
}

static void *step_thread(void *run)
{
	run_step(run);
	return NULL;
}

static pthread_t spawn(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument))
		die("cannot start a thread");
	return thread;
}

static void join(pthread_t thread)
{
	if (pthread_join(thread, NULL))
		die("cannot join a thread");
}

/* Opens the library, or ends the program: for the commands that can say nothing without one. */
static void must_open(struct lib *lib, const char *path)
{
	const char *wrong = lib_open(lib, path);

	if (wrong)
		die(wrong);
}

/* ---- cycle ---- */

static void do_cycle(char **a)
{
	long count = number(a[1]);

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

/* ---- interleave ---- */

struct turns {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int next;
	bool over[2];
};

struct taker {
	struct run run;
	struct turns *turns;
	int index;
};

/* next_batch of two libraries in turns, each on its own thread; one goes on alone at the end. */
static void *taker_thread(void *argument)
{
	struct taker *me = argument;
	struct turns *turns = me->turns;
	int other = 1 - me->index, limit = max_timeouts();
	bool more = true;

	while (more) {
		pthread_mutex_lock(&turns->lock);
		while (turns->next != me->index && !turns->over[other])
			pthread_cond_wait(&turns->changed, &turns->lock);
		pthread_mutex_unlock(&turns->lock);

		more = run_step(&me->run);
		if (more && me->run.empty >= limit) {
			run_stop(&me->run, NULL, "timeout", NULL);
			more = false;
		}

		pthread_mutex_lock(&turns->lock);
		turns->over[me->index] = !more;
		turns->next = other;
		pthread_cond_broadcast(&turns->changed);
		pthread_mutex_unlock(&turns->lock);
	}
	return NULL;
}

static void do_interleave(char **a)
{
	struct turns turns = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, { false, false } };
	struct lib libs[2];
	struct taker takers[2];
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		must_open(&libs[i], a[i]);
	for (int i = 0; i < 2; i++) {
		takers[i].turns = &turns;
		takers[i].index = i;
		run_start(&takers[i].run, &libs[i], a[2]);
		takers[i].run.keep = true;
		run_init(&takers[i].run);
	}
	for (int i = 0; i < 2; i++)
		run_open(&takers[i].run);
	for (int i = 0; i < 2; i++)
		threads[i] = spawn(taker_thread, &takers[i]);
	for (int i = 0; i < 2; i++)
		join(threads[i]);
	for (int i = 0; i < 2; i++)
		run_close(&takers[i].run);
	for (int i = 0; i < 2; i++) {
		struct text line = {0};

		run_destroy(&takers[i].run);
		put(&line, "{\"lib\":%d,", i + 1);
		put_run(&line, &takers[i].run);
		put(&line, "}");
		emit(&line);
	}
	for (int i = 0; i < 2; i++)
		lib_close(&libs[i]);
}

/* ---- race and triple ---- */

struct racer {
	struct run run;
	pthread_barrier_t *barrier;
	bool leave;  /* leave close and destroy to the main thread */
	void *state; /* what init gave, for comparison */
};

static void *racer_thread(void *argument)
{
	struct racer *me = argument;

	pthread_barrier_wait(me->barrier);
	run_init(&me->run);
	me->state = me->run.state;
	/* Until all are initialised none goes on, so that the states live at the same time. */
	pthread_barrier_wait(me->barrier);
	if (run_open(&me->run))
		run_drain(&me->run);
	if (!me->leave) {
		run_close(&me->run);
		run_destroy(&me->run);
	}
	return NULL;
}

static void race(const char *what, struct lib *const *libs, int count, const char *params, bool leave)
{
	struct racer *racers = need(calloc((size_t)count, sizeof *racers));
	pthread_t *threads = need(calloc((size_t)count, sizeof *threads));
	pthread_barrier_t barrier;
	struct text line = {0};
	bool distinct = true, ok = true;

	pthread_barrier_init(&barrier, NULL, (unsigned)count);
	for (int i = 0; i < count; i++) {
		run_start(&racers[i].run, libs[i], params);
		racers[i].run.keep = true;
		racers[i].barrier = &barrier;
		racers[i].leave = leave;
		threads[i] = spawn(racer_thread, &racers[i]);
	}
	for (int i = 0; i < count; i++)
		join(threads[i]);
	for (int i = 0; i < count; i++)
		run_close(&racers[i].run);
	for (int i = 0; i < count; i++)
		run_destroy(&racers[i].run);
	put(&line, "{\"%s\":[", what);
	for (int i = 0; i < count; i++) {
		for (int j = 0; j < i; j++)
			if (racers[i].state && racers[i].state == racers[j].state)
				distinct = false;
		ok = ok && !run_bad(&racers[i].run);
		put(&line, i ? ",{" : "{");
		put_run(&line, &racers[i].run);
		put(&line, "}");
	}
	if (!distinct)
		fail("two inits gave the same state");
	put(&line, "],\"distinct_states\":%s,\"ok\":%s}", distinct ? "true" : "false",
	    ok && distinct ? "true" : "false");
	emit(&line);
	pthread_barrier_destroy(&barrier);
	free(racers);
	free(threads);
}

static void do_race(char **a)
{
	struct lib first, second;
	struct lib *libs[2] = { &first, &second };

	must_open(&first, a[0]);
	must_open(&second, a[1]);
	race("race", libs, 2, a[2], false);
	lib_close(&first);
	lib_close(&second);
}

static void do_triple(char **a)
{
	struct lib lib;
	struct lib *libs[3] = { &lib, &lib, &lib };

	must_open(&lib, a[0]);
	race("triple", libs, 3, a[1], true);
	lib_close(&lib);
}

/* ---- threadend ---- */

static void do_threadend(char **a)
{
	struct lib lib;

	must_open(&lib, a[0]);
	for (int round = 1; round <= 4; round++) {
		int threads = round == 4 ? 2 : 1;
		struct run run;
		struct text line = {0};

		run_start(&run, &lib, a[1]);
		if (run_init(&run) && run_open(&run)) {
			if (threads == 2)
				join(spawn(step_thread, &run));
			put(&line, "{\"round\":%d,\"threads\":%d,\"first_events\":%llu,", round, threads,
			    (unsigned long long)run.events);
			join(spawn(drain_thread, &run));
		} else {
			put(&line, "{\"round\":%d,\"threads\":0,", round);
		}
		run_close(&run);
		run_destroy(&run);
		put_run(&line, &run);
		put(&line, "}");
		emit(&line);
	}
	lib_close(&lib);
}

/* ---- replace and relative ---- */

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

static void do_replace(char **a)
{
	run_and_print("old", a[0], a[2]);
	if (rename(a[1], a[0]))
		die("cannot rename the new library over the old one");
	run_and_print("new", a[0], a[2]);
}

static void do_relative(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};
	char *folder = copy(a[0]), *slash = strrchr(folder, '/');
	char *file = need(malloc(strlen(a[0]) + 3));

	sprintf(file, "./%s", slash ? slash + 1 : folder);
	if (slash) {
		slash[slash == folder] = '\0';
		if (chdir(folder))
			die("cannot go to the folder of the library");
	}
	must_open(&lib, file);
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

/* ---- initfail ---- */

static void do_initfail(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};

	must_open(&lib, a[0]);
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

/* ---- log ---- */

static void do_log(char **a)
{
	struct lib lib;
	struct run run;
	struct text line = {0};

	must_open(&lib, a[0]);
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
	usleep(300 * 1000);
	put(&line, "{\"late_logs\":%d}", atomic_load(&late_logs));
	emit(&line);
	lib_close(&lib);
}

/* ---- nulls ---- */

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

static void put_name(struct text *list, const char *name)
{
	if (list->len)
		put(list, ",");
	put_string(list, name);
}

struct nulls {
	int calls;
	struct text unset; /* calls that left an out-parameter as it was */
	struct text given; /* calls that claimed success without a handle */
};

/* The functions that take a state and an instance, one of them or both NULL. */
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
	struct plugin_event *evt = need(calloc(1, sizeof *evt + length));
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

/* Where the plugin has the function: notes its name, then does the call. */
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

static void do_nulls(char **a)
{
	const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct nulls seen = {0};
	struct lib lib;
	struct run run;
	struct text line = {0};
	bool opened = false;

	must_open(&lib, a[0]);
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
			/* The close without a state may have freed the instance: it is not used again. */
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

/* ---- symbols ---- */

static void do_symbols(char **a)
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

/* ---- idle ---- */

static double now(clockid_t clock)
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

/* The smallest value with at least this share of all values not above it. */
static double percentile(const double *sorted, size_t n, size_t percent)
{
	return n ? sorted[(n * percent + 99) / 100 - 1] : 0;
}

static void do_idle(char **a)
{
	char *rest;
	double seconds = strtod(a[2], &rest), start, cpu, *times = NULL;
	const char *pause = getenv("HOST_PAUSE_US");
	long pause_us = pause ? number(pause) : 0;
	bool text = getenv("HOST_TEXT") != NULL;
	size_t n = 0, room = 0;
	struct lib lib;
	struct run run;
	struct text line = {0};

	if (rest == a[2] || *rest || !(seconds > 0 && seconds <= 3600))
		die("SECONDS has to be a number from 0 to 3600");
	must_open(&lib, a[0]);
	run_start(&run, &lib, a[1]);
	if (run_init(&run))
		run_open(&run);
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	while (!run.end) {
		double before = now(CLOCK_MONOTONIC);

		if (before - start >= seconds) {
			run_stop(&run, NULL, "time", NULL);
			break;
		}
		run_step(&run);
		if (text) {
			struct event_input in = { run.last, run.events, lib.source };

			if (!run.last)
				continue;
			before = now(CLOCK_MONOTONIC);
			lib.api.event_to_string(run.state, &in);
		}
		if (n == room) {
			room = room ? room * 2 : 4096;
			times = need(realloc(times, room * sizeof *times));
		}
		before = now(CLOCK_MONOTONIC) - before;
		times[n++] = before * 1e6;
		if (pause_us)
			nanosleep(&(struct timespec){ .tv_nsec = pause_us * 1000 }, NULL);
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
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

/* ---- parallel ---- */

struct opened {
	struct run run;
	pthread_barrier_t *barrier;
};

static void *opened_thread(void *argument)
{
	struct opened *me = argument;

	pthread_barrier_wait(me->barrier);
	run_drain(&me->run);
	return NULL;
}

static void do_parallel(char **a)
{
	long count = number(a[2]);
	struct opened *all = need(calloc((size_t)count, sizeof *all));
	pthread_t *threads = need(calloc((size_t)count, sizeof *threads));
	pthread_barrier_t barrier;
	struct lib lib;
	struct run owner;

	must_open(&lib, a[0]);
	run_start(&owner, &lib, a[1]);
	if (!run_init(&owner)) {
		fail("init: %s", owner.error);
		run_destroy(&owner);
		lib_close(&lib);
		free(all);
		free(threads);
		return;
	}
	pthread_barrier_init(&barrier, NULL, (unsigned)count);
	for (long i = 0; i < count; i++) {
		run_start(&all[i].run, &lib, a[1]);
		all[i].run.state = owner.state;
		all[i].barrier = &barrier;
		run_open(&all[i].run);
		for (long j = 0; j < i; j++)
			if (all[i].run.instance && all[i].run.instance == all[j].run.instance)
				die("two opens gave the same instance");
	}
	for (long i = 0; i < count; i++)
		threads[i] = spawn(opened_thread, &all[i]);
	for (long i = 0; i < count; i++)
		join(threads[i]);
	for (long i = 0; i < count; i++)
		run_close(&all[i].run);
	run_destroy(&owner);
	for (long i = 0; i < count; i++) {
		struct text line = {0};

		put(&line, "{\"instance\":%ld,", i + 1);
		put_run(&line, &all[i].run);
		put(&line, "}");
		emit(&line);
	}
	lib_close(&lib);
	pthread_barrier_destroy(&barrier);
	free(all);
	free(threads);
}

/* ---- static ---- */

/* All that a host knows of a library without init. */
static void do_static(char **a)
{
	struct lib lib;
	struct text line = {0};

	must_open(&lib, a[0]);
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

		/* JSON is the only kind that there is. */
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

/* ---- Fields ---- */

/* What an asked field holds before a call. */
#define GARBAGE_LEN 0xA5A5A5A5A5A5A5A5u
/* A flag is true where it is not 0. */
#define TRUE_FLAG 0x100u

struct request {
	uint32_t id, type;
	int list, present;
	uint64_t index;
	char name[256];
	const char *key;
};

struct asked {
	struct request *requests;
	size_t count;
};

/* Reads requests, a line each: id, type, list, present, index, name, and a key, which may have spaces. */
static struct asked read_asked(char *text)
{
	struct asked asked = {0};
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct request *request;
		int end = 0;

		asked.requests = need(realloc(asked.requests, (asked.count + 1) * sizeof *request));
		request = &asked.requests[asked.count++];
		sscanf(line, "%" SCNu32 " %" SCNu32 " %d %d %" SCNu64 " %255s%n", &request->id, &request->type,
		       &request->list, &request->present, &request->index, request->name, &end);
		if (!end)
			die("a field has to be: ID TYPE LIST PRESENT INDEX NAME [KEY]");
		request->key = line[end] ? line + end + 1 : NULL;
	}
	return asked;
}

static void wipe(const char *text)
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
		die("there is no such type of fields");
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

/* The members that tell of an extracted field, checked as far as a host relies on them. */
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
		fail("%s: %" PRIu64 " values of a field that is no list", field->field, n);
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

/* One call for some fields of one event. The plugin may not keep what it is given. */
static void extract(struct run *run, const struct event *evt, const struct request *requests, size_t count,
		    bool with_places, struct text *line)
{
	struct extract_field *fields = need(calloc(count + 1, sizeof *fields));
	struct extract_field *before = need(calloc(count + 1, sizeof *fields));
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
			.field = copy(request->name),
			.arg_key = copy(request->key),
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
		wipe(fields[i].arg_key);
		before[i].res = fields[i].res;
		before[i].res_len = fields[i].res_len;
		if (memcmp(&before[i], &fields[i], sizeof *fields) != 0)
			fail("%s: the plugin changed what was asked", requests[i].name);
		if (rc != RC_SUCCESS)
			fields[i].res_len = 0;
		put(line, i ? ",{" : "{");
		put_field(line, &fields[i], &places);
		put(line, "}");
	}
	put(line, "]");
	for (size_t i = 0; i < count; i++)
		wipe(fields[i].field);
	free(fields);
	free(before);
}

/* One call for each field, as the real host makes them. */
static void extract_each(struct run *run, const struct event *evt, bool places, struct text *line)
{
	put(line, "\"calls\":[");
	for (size_t i = 0; i < run->asked->count; i++) {
		put(line, i ? ",{" : "{");
		extract(run, evt, &run->asked->requests[i], 1, places, line);
		put(line, "}");
	}
	put(line, "]");
}

/* An event around a payload in hexadecimal digits, in memory that ends where it does. */
static struct plugin_event *make_event(const char *hex)
{
	size_t n = strlen(hex) / 2;
	struct plugin_event *evt = need(calloc(1, sizeof *evt + n));

	evt->header = (struct event){ 1, UINT64_MAX, (uint32_t)(sizeof *evt + n), TYPE_PLUGIN_EVENT, 2 };
	evt->id_len = 4;
	evt->data_len = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &evt->data[i]) != 1)
			die("a payload has to be hexadecimal digits");
	return evt;
}

struct events {
	struct plugin_event **all;
	size_t count;
};

/* Events around payloads that are joined by commas. */
static struct events make_events(const char *payloads)
{
	struct events events = {0};
	char *text = copy(payloads), *rest = text, *hex;

	while ((hex = strsep(&rest, ","))) {
		events.all = need(realloc(events.all, (events.count + 1) * sizeof *events.all));
		events.all[events.count++] = make_event(hex);
	}
	free(text);
	return events;
}

static void free_events(struct events *events)
{
	for (size_t i = 0; i < events->count; i++)
		free(events->all[i]);
	free(events->all);
}

/* An init that has to succeed, of a library with fields. */
static void must_init(struct run *run, struct lib *lib, char *config, const struct asked *asked)
{
	run_start(run, lib, "");
	run->config = config;
	run->asked = asked;
	if (!lib->api.extract_fields)
		die("the plugin has no fields");
	if (!run_init(run))
		die(run->error);
}

/* ---- extract ---- */

static void do_extract(char **a)
{
	struct asked asked = read_asked(a[3]);
	struct lib lib;
	struct run run;
	struct text line = {0};

	must_open(&lib, a[0]);
	must_init(&run, &lib, a[1], &asked);
	run.params = a[2];
	if (run_open(&run))
		run_drain(&run);
	run_close(&run);
	run_destroy(&run);
	put(&line, "{");
	put_run(&line, &run);
	put(&line, "}");
	emit(&line);
	lib_close(&lib);
	free(asked.requests);
}

/* ---- replay and together ---- */

/* Events that no source of this process made: init, no open, and no instance. */
static void replay(char **a, bool together)
{
	struct asked asked = read_asked(a[2]);
	struct events events = make_events(a[3]);
	struct lib lib;
	struct run run;

	must_open(&lib, a[0]);
	atomic_store(&show_logs, true);
	must_init(&run, &lib, a[1], &asked);
	for (size_t i = 0; i < events.count; i++) {
		const struct event *evt = &events.all[i]->header;
		struct event_input in = { evt, ++run.events, lib.source };
		struct text line = {0};

		put(&line, "{\"event\":%zu,", i + 1);
		if (together)
			extract(&run, evt, asked.requests, asked.count, true, &line);
		else
			extract_each(&run, evt, true, &line);
		put(&line, ",\"text\":");
		put_string(&line, lib.api.event_to_string ? lib.api.event_to_string(run.state, &in) : NULL);
		put(&line, "}");
		emit(&line);
	}
	run_destroy(&run);
	lib_close(&lib);
	free_events(&events);
	free(asked.requests);
}

static void do_replay(char **a)
{
	replay(a, false);
}

static void do_together(char **a)
{
	replay(a, true);
}

/* ---- twins ---- */

struct twin {
	struct run run;
	struct events events;
	char **expected; /* of each event */
	long rounds, calls, wrong;
	bool backwards;
	pthread_barrier_t *barrier;
};

static void *twin_thread(void *argument)
{
	struct twin *me = argument;

	pthread_barrier_wait(me->barrier);
	for (long round = 0; round < me->rounds; round++) {
		for (size_t i = 0; i < me->events.count; i++) {
			size_t at = me->backwards ? me->events.count - 1 - i : i;
			struct text line = {0};

			me->run.events = at + 1;
			extract_each(&me->run, &me->events.all[at]->header, true, &line);
			me->calls += (long)me->run.asked->count;
			me->wrong += strcmp(line.data, me->expected[at]) != 0;
			free(line.data);
		}
	}
	return NULL;
}

/* Two threads at once, each with events of its own, on one state or on one each. */
static void do_twins(char **a)
{
	struct asked asked = read_asked(a[2]);
	long states = number(a[5]);
	struct lib lib;
	struct twin twins[2] = {0};
	pthread_t threads[2];
	pthread_barrier_t barrier;

	must_open(&lib, a[0]);
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		struct twin *twin = &twins[i];

		if (i < states)
			must_init(&twin->run, &lib, a[1], &asked);
		else
			twin->run = twins[0].run;
		twin->events = make_events(a[3]);
		twin->expected = need(calloc(twin->events.count, sizeof *twin->expected));
		twin->rounds = number(a[4]);
		twin->backwards = i == 1;
		twin->barrier = &barrier;
		for (size_t j = 0; j < twin->events.count; j++) {
			struct text line = {0};

			twin->run.events = j + 1;
			extract_each(&twin->run, &twin->events.all[j]->header, true, &line);
			twin->expected[j] = line.data;
		}
	}
	for (size_t j = 0; j < twins[0].events.count; j++) {
		struct text line = {0};

		put(&line, "{\"event\":%zu,", j + 1);
		put_bytes(&line, twins[0].expected[j], strlen(twins[0].expected[j]));
		put(&line, "}");
		emit(&line);
	}
	for (int i = 0; i < 2; i++)
		threads[i] = spawn(twin_thread, &twins[i]);
	for (int i = 0; i < 2; i++)
		join(threads[i]);
	for (int i = 0; i < 2; i++) {
		struct text line = {0};

		if (i < states)
			run_destroy(&twins[i].run);
		put(&line, "{\"thread\":%d,\"calls\":%ld,\"wrong\":%ld}", i + 1, twins[i].calls, twins[i].wrong);
		emit(&line);
		for (size_t j = 0; j < twins[i].events.count; j++)
			free(twins[i].expected[j]);
		free(twins[i].expected);
		free_events(&twins[i].events);
	}
	pthread_barrier_destroy(&barrier);
	lib_close(&lib);
	free(asked.requests);
}

/* ---- script ---- */

/* The host forks: the child makes the rest of the calls first. Returns which of the two this is. */
static const char *fork_here(void)
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

static void tell_call(const char *process, const char *call, const struct run *run)
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

/* One call, as far as a host would make it: nothing but destroy after a failed init, no batch where nothing is open. */
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
		die("there is no such call");
	}
	/* Only a failed init stands in the way of later calls. */
	run->stage = NULL;
	return true;
}

static void do_script(char **a)
{
	struct asked asked = read_asked(a[1]);
	const char *process = "host";
	char *rest = NULL;
	struct lib lib;
	struct run run;

	must_open(&lib, a[0]);
	atomic_store(&show_logs, true);
	run_start(&run, &lib, "");
	run.print = true;
	run.asked = asked.count ? &asked : NULL;
	for (char *call = strtok_r(a[2], "\n", &rest); call; call = strtok_r(NULL, "\n", &rest)) {
		char *argument = strchr(call, ' ');

		if (argument)
			*argument++ = '\0';
		if (strcmp(call, "fork") == 0)
			process = fork_here();
		else if (make_call(&run, call, argument ? argument : ""))
			tell_call(process, call, &run);
	}
	lib_close(&lib);
	free(asked.requests);
}

/* ---- The command line ---- */

static const struct {
	const char *name;
	int arguments;
	void (*run)(char **arguments);
} commands[] = {
	{ "cycle", 3, do_cycle },       { "interleave", 3, do_interleave },
	{ "race", 3, do_race },         { "triple", 2, do_triple },
	{ "threadend", 2, do_threadend }, { "replace", 3, do_replace },
	{ "relative", 2, do_relative }, { "initfail", 2, do_initfail },
	{ "log", 3, do_log },           { "nulls", 1, do_nulls },
	{ "symbols", 1, do_symbols },   { "idle", 3, do_idle },
	{ "parallel", 3, do_parallel },   { "static", 1, do_static },
	{ "extract", 4, do_extract },   { "replay", 4, do_replay },
	{ "together", 4, do_together }, { "twins", 6, do_twins },
	{ "script", 3, do_script },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands && argc > 1; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argc - 2 != commands[i].arguments)
			break;
		commands[i].run(argv + 2);
		return exit_status;
	}
	die(usage);
}
