/*
 * A host without Python that opens, reads, closes and reloads the plugin of the soak on several threads, and knows each
 * event before it comes. It prints one JSON object a line: {"sample": …} between the rounds, {"fault": …} for whatever
 * is not as it must be, {"total": …} at the end. The exit status is 0 where there was no fault.
 *
 * soak SEED SECONDS FOLDER LIBRARY…: the libraries are versions of the plugin, a, b, c, …; files go into the folder.
 */
#define _GNU_SOURCE
#include "../../hosts/c/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LANES = 3, OPEN_AT_ONCE = 3, PRODUCERS = 4, FAULTS = 20, FEWEST_ROUNDS = 10 };
enum { STALLED_MS = 60000, SETTLE_MS = 300 };
enum { GARBAGE = 0x5A5A5A5A };
#define FOR_EVER UINT32_MAX

static uint64_t seed;
static const char *folder;
static char **versions;
static unsigned version_count;
static uint64_t started_ms;

/* ---- What is told ---- */

static atomic_int faults;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E || *c == '"' || *c == '\\')
			*c = '\'';
	printf("{\"fault\":\"%s\"}\n", text);
	fflush(stdout);
	if (atomic_fetch_add(&faults, 1) + 1 >= FAULTS)
		_exit(1);
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "soak: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	_exit(2);
}

static void *need(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

/* ---- Time and chance ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t mix(uint64_t bits)
{
	bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
	bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
	return bits ^ bits >> 31;
}

struct dice {
	uint64_t state;
};

static uint64_t roll(struct dice *dice)
{
	return mix(dice->state += 0x9E3779B97F4A7C15u);
}

static unsigned below(struct dice *dice, unsigned n)
{
	return (unsigned)(roll(dice) % n);
}

static bool one_in(struct dice *dice, unsigned n)
{
	return below(dice, n) == 0;
}

/* ---- The plan: what event has which number (plugin/plan.py has the same) ---- */

enum { TEXT = 8192, BODIES = 200 * TEXT, HEAD = 76, TAIL = 2, EMPTY = -1 };
static char bodies[BODIES + 1];
static uint32_t crc_table[256];

static void prepare_plan(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
		crc_table[i] = value;
	}
	for (int i = 0; i < BODIES / 16; i++)
		snprintf(bodies + 16 * i, 17, "%016" PRIx64, mix((uint64_t)(i % 512)));
}

static uint32_t crc32(uint32_t crc, const void *data, size_t n)
{
	crc = ~crc;
	for (const unsigned char *c = data; n--; c++)
		crc = crc_table[(crc ^ *c) & 255] ^ crc >> 8;
	return ~crc;
}

static uint64_t plan(uint64_t key, uint32_t producer, uint32_t number)
{
	return mix(key ^ mix((uint64_t)producer << 32 | number));
}

static int body_size(uint64_t bits)
{
	unsigned kind = bits & 1023;
	uint64_t rest = bits >> 10;

	return kind < 100  ? EMPTY
	     : kind < 900  ? (int)(rest % 512)
	     : kind < 1012 ? (int)(rest % (16 << 10))
	     : kind < 1023 ? (int)(rest % (256 << 10))
			   : (1 << 20) + (int)(rest % (512 << 10));
}

/* The first HEAD bytes of an event, which hold the checksum of the rest. */
static void write_head(char *head, char version, uint64_t key, uint32_t producer, uint32_t number, const void *body,
		       size_t n)
{
	int len = sprintf(head, "{\"v\":\"%c\",\"k\":\"%016" PRIx64 "\",\"p\":\"%02x\",\"n\":\"%08x\",\"c\":\"", version,
			  key, producer, number);

	len += sprintf(head + len, "%08x\",\"b\":\"", crc32(crc32(0, head, (size_t)len), body, n));
	if (len != HEAD)
		die("an event begins with %d bytes", len);
}

/* ---- Totals ---- */

static const char *const kinds[] = { "pull", "generator", "async", "retry", "push", "own", "file", "pipe" };
enum { PULL, GENERATOR, ASYNC, RETRY, PUSH, OWN, LINES_FILE, LINES_PIPE, KINDS };

static atomic_ullong opens[KINDS], events[KINDS], bytes[KINDS], empty_events, ends, closes_midway;
static atomic_ullong loads, inits, unloads, threads_made, fields_asked, rotations;
static atomic_ullong thrown_by_init, thrown_by_open, thrown_by_sources, thrown_by_fields, retries;

static void add(atomic_ullong *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

/* ---- A library and its state ---- */

struct state {
	char path[300], version;
	void *handle, *plugin;
	atomic_bool alive; /* the log function may be called */
#define MEMBER(type, name, args) type(*name) args;
	struct { PLUGIN_FUNCTIONS(MEMBER) } api;
#undef MEMBER
};

static void on_log(void *owner, const char *component, const char *text, int severity)
{
	struct state *state = owner;

	(void)component, (void)severity;
	if (!atomic_load(&state->alive))
		fault("a log line after destroy: %s", text);
	if (text && strstr(text, "the source is called again"))
		add(&retries, 1);
}

static const char *no_error(void *owner)
{
	(void)owner;
	return NULL;
}

static void load(struct state *state)
{
	state->handle = dlopen(state->path, RTLD_NOW | RTLD_LOCAL);
	if (!state->handle)
		die("%s", dlerror());
#define RESOLVE(type, name, args) *(void **)&state->api.name = dlsym(state->handle, "plugin_" #name);
	PLUGIN_FUNCTIONS(RESOLVE)
#undef RESOLVE
	add(&loads, 1);
}

static void unload(struct state *state)
{
	dlclose(state->handle);
	if (dlopen(state->path, RTLD_NOW | RTLD_NOLOAD))
		fault("%s is still loaded after dlclose", state->path);
	add(&unloads, 1);
}

static const char *last_error(struct state *state)
{
	const char *error = state->plugin ? state->api.get_last_error(state->plugin) : NULL;

	return error ? error : "";
}

static bool is_meant(struct state *state)
{
	return strstr(last_error(state), "meant to fail");
}

static void destroy(struct state *state)
{
	state->api.destroy(state->plugin);
	state->plugin = NULL;
	atomic_store(&state->alive, false);
}

static void init(struct state *state, bool fails)
{
	struct init_input in = { fails ? "fail" : "", state, no_error, NULL, on_log };
	int rc = GARBAGE;

	atomic_store(&state->alive, true);
	state->plugin = state->api.init(&in, &rc);
	add(&inits, 1);
	if (rc != (fails ? RC_FAILURE : RC_SUCCESS) || !state->plugin || (fails && !is_meant(state)))
		die("init gave %d: %s", rc, last_error(state));
	if (fails) {
		add(&thrown_by_init, 1);
		destroy(state);
	}
}

/* ---- A source ---- */

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
	uint32_t next[PRODUCERS]; /* the number that is due */
	uint64_t unclaimed;       /* empty events whose producer is not known yet */
	uint64_t until_ms, stop_after, hop_after, last_ms;
	atomic_ullong taken;
	bool ended;
	atomic_bool stop, closed; /* for its readers; for its writer */
	pthread_t reader, writer;
	int fd; /* of its writer */
};

static pthread_t spawn(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument))
		die("cannot make a thread");
	add(&threads_made, 1);
	return thread;
}

static void join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

static int due_size(const struct source *s, uint32_t producer)
{
	return body_size(plan(s->key, producer, s->next[producer]));
}

/* How many empty events may be unclaimed: each producer's, up to its next other one. */
static uint64_t empty_ones_due(struct source *s)
{
	uint64_t due = 0;

	for (uint32_t p = 0; p < s->producers; p++)
		for (uint32_t n = s->next[p]; n < s->count && body_size(plan(s->key, p, n)) == EMPTY; n++)
			due++;
	return due;
}

/* Counts empty events as the producer's, as long as such are due. Returns whether another event, or the end, is. */
static bool claim_empty_ones(struct source *s, uint32_t producer, uint32_t up_to)
{
	while (s->next[producer] < up_to) {
		if (!s->unclaimed || due_size(s, producer) != EMPTY)
			return false;
		s->unclaimed--;
		s->next[producer]++;
	}
	return s->next[producer] == up_to;
}

static uint32_t hexadecimal(const char *text, size_t n)
{
	char digits[9] = { 0 };

	memcpy(digits, text, n);
	return (uint32_t)strtoul(digits, NULL, 16);
}

/* Returns NULL, or what is wrong. */
static const char *check_payload(struct source *s, const char *data, size_t n)
{
	char head[HEAD + 1];
	uint32_t producer, number;

	if (n == 0) {
		add(&empty_events, 1);
		return ++s->unclaimed <= empty_ones_due(s) ? NULL : "an empty event that is not due";
	}
	if (n < HEAD + TAIL)
		return "an event that is too short";
	producer = hexadecimal(data + 37, 2);
	number = hexadecimal(data + 46, 8);
	if (producer >= s->producers)
		return "an event of an unknown producer";
	if (number < s->next[producer])
		return "an event that came twice, or too late";
	if (!claim_empty_ones(s, producer, number))
		return "an event before one that is due";
	if ((int)(n - HEAD - TAIL) != due_size(s, producer))
		return "an event of another size";
	write_head(head, s->state->version, s->key, producer, number, data + HEAD, n - HEAD - TAIL);
	if (memcmp(head, data, HEAD) != 0 || memcmp(data + n - TAIL, "\"}", TAIL) != 0)
		return "an event with other bytes";
	s->next[producer]++;
	return NULL;
}

/* One call for a field, as the host makes them. */
static uint64_t ask(struct source *s, struct event *event, struct extract_field *field)
{
	struct event_input of = { event, atomic_load(&s->taken), "soak" };
	struct extract_input in = { .owner = s->state, .get_owner_last_error = no_error, .num_fields = 1, .fields = field };

	field->res_len = GARBAGE;
	add(&fields_asked, 1);
	if (s->state->api.extract_fields(s->state->plugin, &of, &in) != RC_SUCCESS)
		fault("extract_fields: %s", last_error(s->state));
	return field->res_len;
}

static void ask_fields(struct source *s, struct event *event, const char *data, size_t n)
{
	struct extract_field text = { .field_id = 0, .field = "soak.number", .ftype = FIELD_STRING };
	struct extract_field moody = { .field_id = 1, .field = "soak.moody", .ftype = FIELD_UINT64 };
	uint32_t number = n ? hexadecimal(data + 46, 8) : 0;
	bool raises = n && mix(number) % 16 == 0;

	if (ask(s, event, &text) != (n ? 1 : 0) || (n && hexadecimal(text.res.text[0], 8) != number))
		fault("soak.number is not the number of event %u of a %s", number, kinds[s->kind]);
	if (ask(s, event, &moody) != (n && !raises ? 1 : 0) || (n && !raises && moody.res.number[0] != number))
		fault("soak.moody is not the number of event %u of a %s", number, kinds[s->kind]);
	if (raises)
		add(&thrown_by_fields, 1);
}

static bool take(struct source *s, struct event *event)
{
	const struct plugin_event *whole = (const void *)event;
	const char *wrong = "an event with wrong lengths";

	if (event->type == TYPE_PLUGIN_EVENT && event->nparams == 2 && whole->id_len == 4 &&
	    event->len == sizeof *whole + whole->data_len)
		wrong = check_payload(s, (const char *)whole->data, whole->data_len);
	if (wrong) {
		fault("%s %016" PRIx64 " of version %c, after %llu events: %s", kinds[s->kind], s->key,
		      s->state->version, (unsigned long long)atomic_load(&s->taken), wrong);
		return false;
	}
	atomic_fetch_add(&s->taken, 1);
	add(&events[s->kind], 1);
	add(&bytes[s->kind], whole->data_len);
	if (one_in(&s->dice, 16))
		ask_fields(s, event, (const char *)whole->data, whole->data_len);
	if (one_in(&s->dice, 64)) {
		struct event_input of = { event, atomic_load(&s->taken), "soak" };

		if (!s->state->api.event_to_string(s->state->plugin, &of))
			fault("event_to_string: %s", last_error(s->state));
	}
	return true;
}

/* All that the source had to give must have come. */
static void check_complete(struct source *s)
{
	for (uint32_t p = 0; p < s->producers; p++)
		if (!claim_empty_ones(s, p, s->count))
			fault("a %s ended when event %u of %u of its producer %u was due", kinds[s->kind], s->next[p],
			      s->count, p);
	if (s->unclaimed)
		fault("a %s gave %llu empty events too many", kinds[s->kind], (unsigned long long)s->unclaimed);
	s->ended = true;
	add(&ends, 1);
}

static void check_end(struct source *s, int rc)
{
	if (rc != (s->fails ? RC_FAILURE : RC_EOF) || (s->fails && !is_meant(s->state)))
		fault("a %s ended with %d: %s", kinds[s->kind], rc, last_error(s->state));
	if (s->fails)
		add(&thrown_by_sources, 1);
	check_complete(s);
}

static bool is_over(const struct source *s)
{
	return s->ended || atomic_load(&s->taken) >= s->stop_after || now_ms() >= s->until_ms || atomic_load(&s->stop);
}

static void read_batch(struct source *s)
{
	uint32_t n = GARBAGE;
	struct event **batch = NULL;
	int rc = s->state->api.next_batch(s->state->plugin, s->instance, &n, &batch);

	if (n == GARBAGE || (rc == RC_SUCCESS) != (n > 0)) {
		fault("next_batch of a %s gave %d with %u events", kinds[s->kind], rc, n);
		atomic_store(&s->stop, true);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!take(s, batch[i])) {
			atomic_store(&s->stop, true);
			return;
		}
	if (n)
		s->last_ms = now_ms();
	if (rc != RC_SUCCESS && rc != RC_TIMEOUT)
		check_end(s, rc);
	else if (s->kind == LINES_FILE && atomic_load(&s->taken) == s->count)
		/* A file that is followed has no end. */
		check_complete(s);
}

/* A thread of the host, which may come and go in the middle of a source. */
static void *read_some(void *argument)
{
	struct source *s = argument;
	uint64_t hop = atomic_load(&s->taken) + s->hop_after;

	while (!is_over(s) && atomic_load(&s->taken) < hop) {
		read_batch(s);
		if (now_ms() - s->last_ms > STALLED_MS) {
			fault("a %s gave nothing for %d s after %llu events", kinds[s->kind], STALLED_MS / 1000,
			      (unsigned long long)atomic_load(&s->taken));
			atomic_store(&s->stop, true);
		}
		if (one_in(&s->dice, 64)) {
			uint32_t progress = GARBAGE;

			s->state->api.get_progress(s->state->plugin, s->instance, &progress);
			if (progress > 10000)
				fault("the progress of a %s is %u", kinds[s->kind], progress);
		}
		if (one_in(&s->dice, 32))
			usleep(below(&s->dice, 5000));
	}
	return NULL;
}

static void *read_source(void *argument)
{
	struct source *s = argument;

	while (!is_over(s))
		join(spawn(read_some, s));
	return NULL;
}

/* ---- Who writes the lines that a source reads ---- */

/* Waits until the reader is near, or gone. */
static bool may_write(struct source *s, uint64_t written, uint64_t ahead)
{
	while (!atomic_load(&s->closed) && atomic_load(&s->taken) + ahead < written)
		usleep(1000);
	return !atomic_load(&s->closed);
}

static void write_whole(struct source *s, struct dice *dice, int fd, const char *data, size_t n)
{
	while (n && !atomic_load(&s->closed)) {
		struct pollfd room = { fd, POLLOUT, 0 };
		/* Now and then a line comes in pieces. */
		ssize_t done = write(fd, data, one_in(dice, 8) ? 1 + roll(dice) % n : n);

		if (done > 0) {
			data += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) {
			poll(&room, 1, 20);
		} else {
			die("cannot write %s: %s", s->path, strerror(errno));
		}
	}
}

static int open_to_write(const struct source *s)
{
	/* A FIFO that is open at both ends here is never without a reader. */
	int flags = s->kind == LINES_PIPE ? O_RDWR | O_NONBLOCK : O_WRONLY | O_CREAT | O_APPEND;
	int fd = open(s->path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("cannot open %s: %s", s->path, strerror(errno));
	return fd;
}

static void rotate(struct source *s, struct dice *dice)
{
	char aside[330];

	snprintf(aside, sizeof aside, "%s.1", s->path);
	if (rename(s->path, aside))
		die("cannot rename %s: %s", s->path, strerror(errno));
	close(s->fd);
	if (one_in(dice, 2))
		usleep(below(dice, 50000));
	s->fd = open_to_write(s);
	add(&rotations, 1);
}

static size_t write_event(const struct source *s, uint32_t number, char *line)
{
	uint64_t bits = plan(s->key, 0, number);
	const char *body = bodies + (bits >> 40) % TEXT;
	int size = body_size(bits);

	if (size == EMPTY)
		return 0;
	write_head(line, s->state->version, s->key, 0, number, body, (size_t)size);
	memcpy(line + HEAD, body, (size_t)size);
	memcpy(line + HEAD + size, "\"}", TAIL);
	return HEAD + (size_t)size + TAIL;
}

static void *write_lines(void *argument)
{
	struct source *s = argument;
	struct dice dice = { ~s->key };
	char *line = need(malloc(HEAD + BODIES + TAIL + 1));
	uint32_t rotated_at = 0;

	for (uint32_t n = 0; n < s->count && may_write(s, n, 4096); n++) {
		size_t len = write_event(s, n, line);

		line[len++] = '\n';
		write_whole(s, &dice, s->fd, line, len);
		if (one_in(&dice, 16))
			usleep(below(&dice, 1 + s->pace_us));
		/* A file that came and went between two looks nobody sees: the reader has to be in it first. */
		if (s->kind == LINES_FILE && one_in(&dice, 300) && atomic_load(&s->taken) > rotated_at) {
			rotate(s, &dice);
			rotated_at = n + 1;
		}
	}
	close(s->fd);
	free(line);
	return NULL;
}

static bool has_writer(const struct source *s)
{
	return s->kind == LINES_FILE || s->kind == LINES_PIPE;
}

/* ---- Opening and closing ---- */

/* Returns whether it is open. */
static bool open_source(struct source *s, bool refused)
{
	char params[800];
	int rc = GARBAGE;

	if (s->kind == LINES_PIPE && mkfifo(s->path, 0600))
		die("cannot make %s: %s", s->path, strerror(errno));
	if (has_writer(s))
		s->fd = open_to_write(s);
	snprintf(params, sizeof params,
		 "{\"kind\":\"%s\",\"key\":%" PRIu64 ",\"count\":%u,\"producers\":%u,\"fails\":%s,\"refused\":%s,"
		 "\"pace\":%u,\"path\":\"%s\"}",
		 kinds[s->kind], s->key, s->count, s->producers, s->fails ? "true" : "false",
		 refused ? "true" : "false", s->pace_us, s->path);
	s->instance = s->state->api.open(s->state->plugin, params, &rc);
	if (rc == (refused ? RC_FAILURE : RC_SUCCESS) && (refused ? is_meant(s->state) : s->instance != NULL)) {
		add(refused ? &thrown_by_open : &opens[s->kind], 1);
	} else {
		fault("open of a %s gave %d: %s", kinds[s->kind], rc, last_error(s->state));
		refused = true;
	}
	if (refused) {
		if (has_writer(s))
			close(s->fd);
		unlink(s->path);
		return false;
	}
	s->last_ms = now_ms();
	if (has_writer(s))
		s->writer = spawn(write_lines, s);
	s->reader = spawn(read_source, s);
	return true;
}

static void close_source(struct source *s)
{
	char aside[330];

	join(s->reader);
	s->state->api.close(s->state->plugin, s->instance);
	if (!s->ended)
		add(&closes_midway, 1);
	atomic_store(&s->closed, true);
	if (!has_writer(s))
		return;
	join(s->writer);
	snprintf(aside, sizeof aside, "%s.1", s->path);
	unlink(s->path);
	unlink(aside);
}

/* ---- A lane: sessions of a library of its own, one after the other ---- */

struct lane {
	struct state state, beside;
	struct source sources[OPEN_AT_ONCE];
	bool is_open[OPEN_AT_ONCE];
	struct dice dice;
	uint64_t until_ms;
	pthread_t thread;
};

static struct lane lanes[LANES];

/* Another version of the plugin at the same path, as an update puts it there. */
static void put_version(struct state *state, unsigned version)
{
	static const size_t room = 1 << 16;
	char part[310], *block = need(malloc(room));
	int from = open(versions[version], O_RDONLY | O_CLOEXEC), to;
	ssize_t n;

	snprintf(part, sizeof part, "%s.part", state->path);
	to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	while ((n = read(from, block, room)) > 0)
		if (write(to, block, (size_t)n) != n)
			die("cannot write %s", part);
	if (n || close(from) || close(to) || rename(part, state->path))
		die("cannot copy %s", versions[version]);
	free(block);
	state->version = (char)('a' + version);
}

static void choose(struct lane *lane, struct source *s, unsigned index)
{
	struct dice *dice = &lane->dice;

	memset(s, 0, sizeof *s);
	s->state = &lane->state;
	s->kind = below(dice, KINDS);
	s->key = roll(dice);
	s->dice.state = roll(dice);
	s->count = one_in(dice, 8) ? below(dice, 4) : below(dice, 3000);
	s->producers = s->kind == PUSH ? 1 + below(dice, PRODUCERS) : 1;
	s->fails = s->kind != RETRY && !has_writer(s) && one_in(dice, 4);
	s->pace_us = one_in(dice, 3) ? 0 : below(dice, 20000);
	s->stop_after = one_in(dice, 2) ? UINT64_MAX : below(dice, s->count + 1);
	s->hop_after = one_in(dice, 2) ? UINT64_MAX : 1 + below(dice, 500);
	s->until_ms = now_ms() + (one_in(dice, 3) ? below(dice, 300) : 3000);
	if (s->until_ms > lane->until_ms)
		s->until_ms = lane->until_ms;
	snprintf(s->path, sizeof s->path, "%s.%u", lane->state.path, index);
}

/* A second life of the same library in the middle of the first, as a reload tries the new configuration. */
static void *try_beside(void *argument)
{
	struct lane *lane = argument;
	struct state *state = &lane->beside;

	snprintf(state->path, sizeof state->path, "%s", lane->state.path);
	load(state);
	init(state, one_in(&lane->dice, 2));
	if (state->plugin)
		destroy(state);
	dlclose(state->handle);
	return NULL;
}

static void session(struct lane *lane)
{
	struct dice *dice = &lane->dice;
	unsigned openings = 1 + below(dice, 3);

	put_version(&lane->state, below(dice, version_count));
	load(&lane->state);
	if (one_in(dice, 8))
		init(&lane->state, true);
	init(&lane->state, false);
	while (openings-- && now_ms() < lane->until_ms) {
		unsigned count = 1 + below(dice, OPEN_AT_ONCE);

		for (unsigned i = 0; i < count; i++) {
			choose(lane, &lane->sources[i], i);
			lane->is_open[i] = open_source(&lane->sources[i], one_in(dice, 16));
		}
		if (one_in(dice, 4))
			join(spawn(try_beside, lane));
		for (unsigned i = 0; i < count; i++)
			if (lane->is_open[i])
				close_source(&lane->sources[i]);
	}
	destroy(&lane->state);
	unload(&lane->state);
}

static void *run_lane(void *argument)
{
	struct lane *lane = argument;

	while (now_ms() < lane->until_ms)
		session(lane);
	return NULL;
}

static void run_round(uint64_t round, uint64_t ms)
{
	for (uint64_t i = 0; i < LANES; i++) {
		struct lane *lane = &lanes[i];

		snprintf(lane->state.path, sizeof lane->state.path, "%s/lane%" PRIu64 ".so", folder, i);
		lane->dice.state = mix(seed ^ mix(round << 8 | i));
		lane->until_ms = now_ms() + ms;
		lane->thread = spawn(run_lane, lane);
	}
	for (int i = 0; i < LANES; i++)
		join(lanes[i].thread);
}

/* ---- The residents: a source of each kind that stays open all the time ---- */

static struct state resident;
static struct source residents[KINDS];

static void open_residents(void)
{
	snprintf(resident.path, sizeof resident.path, "%s/resident.so", folder);
	put_version(&resident, 0);
	load(&resident);
	init(&resident, false);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct source *s = &residents[kind];

		s->state = &resident;
		s->kind = kind;
		s->key = mix(seed + kind);
		s->dice.state = s->key;
		s->count = FOR_EVER;
		s->producers = kind == PUSH ? PRODUCERS : 1;
		s->pace_us = 100000;
		s->until_ms = s->stop_after = UINT64_MAX;
		s->hop_after = 100;
		snprintf(s->path, sizeof s->path, "%s.%u", resident.path, kind);
		if (!open_source(s, false))
			die("a resident cannot be opened");
	}
}

static void close_residents(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		atomic_store(&residents[kind].stop, true);
	for (unsigned kind = 0; kind < KINDS; kind++)
		close_source(&residents[kind]);
	destroy(&resident);
	unload(&resident);
}

/* ---- Samples and totals ---- */

static unsigned entries(const char *path)
{
	DIR *directory = need(opendir(path));
	unsigned n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n - 2;
}

static unsigned long resident_pages(void)
{
	FILE *file = need(fopen("/proc/self/statm", "re"));
	unsigned long pages = 0;

	if (fscanf(file, "%*u %lu", &pages) != 1)
		die("cannot read /proc/self/statm");
	fclose(file);
	return pages;
}

static void sample(void)
{
	int rc = GARBAGE;
	const char *python;
	struct mallinfo2 heap;

	/* What the round has left behind may take a moment to end. */
	usleep(SETTLE_MS * 1000);
	python = resident.api.list_open_params(resident.plugin, &rc);
	if (rc != RC_SUCCESS)
		die("list_open_params: %s", last_error(&resident));
	heap = mallinfo2();
	printf("{\"sample\":{\"seconds\":%.1f,\"rss_kib\":%lu,\"heap_kib\":%zu,\"descriptors\":%u,\"threads\":%u,"
	       "\"python\":%s}}\n",
	       (double)(now_ms() - started_ms) / 1e3, resident_pages() * (unsigned long)sysconf(_SC_PAGESIZE) / 1024,
	       (heap.uordblks + heap.hblkhd) / 1024, entries("/proc/self/fd") - 1, entries("/proc/self/task"), python);
	fflush(stdout);
}

static void tell_total(void)
{
	const struct {
		const char *name;
		atomic_ullong *count;
	} counts[] = {
		{ "loads", &loads }, { "inits", &inits }, { "unloads", &unloads }, { "threads", &threads_made },
		{ "ends", &ends }, { "closes_midway", &closes_midway }, { "rotations", &rotations },
		{ "empty_events", &empty_events }, { "fields", &fields_asked }, { "thrown_by_init", &thrown_by_init },
		{ "thrown_by_open", &thrown_by_open }, { "thrown_by_sources", &thrown_by_sources },
		{ "thrown_by_fields", &thrown_by_fields }, { "retries", &retries },
	};

	printf("{\"total\":{\"seconds\":%.1f,\"kinds\":{", (double)(now_ms() - started_ms) / 1e3);
	for (int kind = 0; kind < KINDS; kind++)
		printf("%s\"%s\":{\"opens\":%llu,\"events\":%llu,\"bytes\":%llu}", kind ? "," : "", kinds[kind],
		       (unsigned long long)opens[kind], (unsigned long long)events[kind],
		       (unsigned long long)bytes[kind]);
	printf("}");
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		printf(",\"%s\":%llu", counts[i].name, (unsigned long long)*counts[i].count);
	printf("}}\n");
}

int main(int argc, char **argv)
{
	uint64_t ms, round_ms;

	if (argc < 5)
		die("usage: soak SEED SECONDS FOLDER LIBRARY...");
	seed = strtoull(argv[1], NULL, 10);
	ms = strtoull(argv[2], NULL, 10) * 1000;
	folder = argv[3];
	versions = argv + 4;
	version_count = (unsigned)(argc - 4);
	signal(SIGPIPE, SIG_IGN);
	/* By itself glibc keeps what is freed, in an arena for nearly each thread: what is lost could hide in it. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	prepare_plan();
	started_ms = now_ms();
	round_ms = ms / 40 < 1000 ? 1000 : ms / 40 > 5000 ? 5000 : ms / 40;
	open_residents();
	for (uint64_t round = 0; round < FEWEST_ROUNDS || now_ms() < started_ms + ms; round++) {
		run_round(round, round_ms);
		sample();
	}
	close_residents();
	tell_total();
	return faults ? 1 : 0;
}
