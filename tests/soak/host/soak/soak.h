/*
 * A host without Python that opens, reads, closes and reloads the plugin of the soak on several threads. It computes each
 * event before it reads it. It prints one JSON object a line: {"sample": …} between the rounds, {"fault": …} for each
 * fault, and {"total": …} at the end. The exit status is 0 if there was no fault.
 *
 * soak SEED SECONDS FOLDER LIBRARY…: the libraries are versions a, b, c, … of the plugin; files are written to the folder.
 */
#ifndef SOAK_H
#define SOAK_H

#include "../../../hosts/c/plugin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 3, OPEN_AT_ONCE = 3, PRODUCERS = 4, FAULTS = 20, FEWEST_ROUNDS = 10 };
enum { STALLED_MS = 60000, SETTLE_MS = 300 };
enum { GARBAGE = 0x5A5A5A5A };
#define ENDLESS UINT32_MAX

/* main.c */

extern uint64_t seed;
extern const char *folder;
extern char **versions;
extern unsigned version_count;
extern uint64_t started_ms;

/* base.c */

struct dice {
	uint64_t state;
};

extern atomic_int faults;

__attribute__((format(printf, 1, 2))) void fault(const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
void *checked(void *memory);
uint64_t now_ms(void);
uint64_t mix(uint64_t bits);
uint64_t roll(struct dice *dice);
unsigned below(struct dice *dice, unsigned n);
bool one_in(struct dice *dice, unsigned n);

/* plan.c */

enum { TEXT = 8192, BODIES = 200 * TEXT, HEAD = 76, TAIL = 2, EMPTY = -1 };

extern char bodies[BODIES + 1];

void prepare_plan(void);
uint64_t plan(uint64_t key, uint32_t producer, uint32_t number);
int body_size(uint64_t bits);
void write_head(char *head, char version, uint64_t key, uint32_t producer, uint32_t number, const void *body, size_t n);

/* library.c */

enum { PULL, GENERATOR, ASYNC, RETRY, PUSH, OWN, LINES_FILE, LINES_PIPE, KINDS };

struct state {
	char path[300], version;
	void *handle, *plugin;
	atomic_bool alive; /* the log function may be called */
#define MEMBER(type, name, args) type(*name) args;
	struct { PLUGIN_FUNCTIONS(MEMBER) } api;
#undef MEMBER
};

extern const char *const kinds[];
extern atomic_ullong opens[KINDS], events[KINDS], bytes[KINDS], empty_events, ends, closes_midway;
extern atomic_ullong loads, inits, unloads, threads_made, fields_asked, rotations;
extern atomic_ullong thrown_by_init, thrown_by_open, thrown_by_sources, thrown_by_fields, retries;

void add(atomic_ullong *count, uint64_t n);
const char *no_error(void *owner);
void load(struct state *state);
void unload(struct state *state);
const char *last_error(struct state *state);
bool is_meant(struct state *state);
void destroy(struct state *state);
void init(struct state *state, bool fails);

/* source.c */

struct source {
	struct state *state;
	unsigned kind;
	uint64_t key;
	uint32_t count, producers;
	bool fails;
	unsigned pace_us;
	char path[320];
	void *instance;
	struct dice dice;
	uint32_t next[PRODUCERS]; /* the number of each producer's next event */
	uint64_t unclaimed;       /* empty events that are not attributed to a producer yet */
	uint64_t until_ms, stop_after, hop_after, last_ms;
	atomic_ullong taken;
	bool ended;
	atomic_bool stop, closed; /* read by the reader threads; read by the writer */
	pthread_t reader, writer;
	int fd; /* the writer's descriptor */
};

pthread_t spawn(void *(*body)(void *), void *argument);
void join(pthread_t thread);
bool open_source(struct source *s, bool refused);
void close_source(struct source *s);

/* writer.c */

int open_to_write(const struct source *s);
void *write_lines(void *argument);
bool has_writer(const struct source *s);

/* lanes.c */

extern struct state resident;

void run_round(uint64_t round, uint64_t ms);
void open_residents(void);
void close_residents(void);

#endif
