/*
 * A small host for plugin libraries. It calls them as the real host does, in various orders and on several threads, and
 * prints one JSON object a line. See ../README.md for the commands.
 */
#ifndef HOST_H
#define HOST_H

#include "plugin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values of out-parameters before a call. The plugin must overwrite them on every path. */
#define GARBAGE_RC 0x5A5A5A5A
#define GARBAGE_N 0xA5A5A5A5u
#define GARBAGE_PTR ((void *)(uintptr_t)0xA5A5A5A5A5A5A5A5u)

/* Of a longer string, only the length is printed. */
#define LONGEST_STRING 1048576

/* output.c */

extern int exit_status;

struct text {
	char *data;
	size_t len, capacity;
};

__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
__attribute__((noreturn)) void die(const char *why);
void *checked(void *memory);
long parse_count(const char *text);
void put_bytes(struct text *t, const void *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void put(struct text *t, const char *format, ...);
void put_string(struct text *t, const char *value);
void put_base64(struct text *t, const unsigned char *data, size_t n);
void emit(struct text *t);
void put_name(struct text *list, const char *name);

/* library.c */

extern atomic_bool show_logs, destroyed;
extern atomic_int late_logs;

struct lib {
	void *handle;
	char *name, *source;
	uint32_t id;
	bool json_schema;
#define MEMBER(type, name, args) type(*name) args;
	struct { PLUGIN_FUNCTIONS(MEMBER) } api;
#undef MEMBER
};

void on_log(void *owner, const char *component, const char *msg, int severity);
const char *on_owner_error(void *owner);
char *copy_string(const char *text);
const char *lib_open(struct lib *lib, const char *path);
void lib_close(struct lib *lib);
void open_or_die(struct lib *lib, const char *path);

/* run.c */

struct requests;

struct run {
	struct lib *lib;
	const char *config, *params;
	void *state, *instance;
	uint64_t events, bytes, calls;
	const struct event *last; /* valid until the next call */
	int empty;          /* consecutive timeouts without an event */
	bool keep;          /* keep the payloads */
	bool print;         /* print every event */
	bool parse;         /* let the plugin parse every event, if it does so */
	const struct requests *requests; /* print these fields of every event, unless NULL */
	struct text payloads;
	const char *stage;  /* where it failed */
	const char *end;    /* how it ended, NULL while it runs */
	char error[1200];
};

int max_timeouts(void);
void run_start(struct run *run, struct lib *lib, const char *params);
void run_stop(struct run *run, const char *stage, const char *end, const char *error);
void run_failed(struct run *run, const char *stage, const char *error);
void run_plugin_failed(struct run *run, const char *stage);
bool run_init(struct run *run);
bool run_open(struct run *run);
bool run_step(struct run *run);
void run_drain(struct run *run);
void run_close(struct run *run);
void run_destroy(struct run *run);
bool run_has_failed(const struct run *run);
void put_run(struct text *t, struct run *run);
void run_whole(struct run *run);
void *drain_thread(void *run);
void *step_thread(void *run);
pthread_t spawn(void *(*body)(void *), void *argument);
void join(pthread_t thread);

/* state.c */

bool run_state_call(struct run *run, const char *call);
void run_parse(struct run *run, const struct event *evt);

/* fields.c */

struct request {
	uint32_t id, type;
	int list, present;
	uint64_t index;
	char name[256];
	const char *key;
};

struct requests {
	struct request *all;
	size_t count;
};

struct events {
	struct plugin_event **all;
	size_t count;
};

struct requests read_requests(char *text);
void extract(struct run *run, const struct event *evt, const struct request *requests, size_t count, bool with_places,
	     struct text *line);
void extract_each(struct run *run, const struct event *evt, bool places, struct text *line);
struct events make_events(const char *payloads);
void free_events(struct events *events);
void init_or_die(struct run *run, struct lib *lib, char *config, const struct requests *requests);

/* The commands. Each takes its arguments. */

void do_cycle(char **a);
void do_interleave(char **a);
void do_race(char **a);
void do_triple(char **a);
void do_threadend(char **a);
void do_replace(char **a);
void do_swap(char **a);
void do_relative(char **a);
void do_initfail(char **a);
void do_log(char **a);
void do_nulls(char **a);
void do_symbols(char **a);
void do_idle(char **a);
void do_parallel(char **a);
void do_static(char **a);
void do_extract(char **a);
void do_replay(char **a);
void do_together(char **a);
void do_twins(char **a);
void do_script(char **a);
void do_held(char **a);

#endif
