/* Reads a source, and checks each of its events. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

pthread_t spawn(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument))
		die("cannot make a thread");
	add(&threads_made, 1);
	return thread;
}

void join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

static int due_size(const struct source *s, uint32_t producer)
{
	return body_size(plan(s->key, producer, s->next[producer]));
}

/* Returns how many empty events may be unclaimed: for each producer, the run of empty events that comes next. */
static uint64_t empty_ones_due(struct source *s)
{
	uint64_t due = 0;

	for (uint32_t p = 0; p < s->producers; p++)
		for (uint32_t n = s->next[p]; n < s->count && body_size(plan(s->key, p, n)) == EMPTY; n++)
			due++;
	return due;
}

/* Attributes unclaimed empty events to the producer. Returns whether its next event has the number `up_to`. */
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

/* Returns NULL, or an error message. */
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

/* Extracts one field in one call, as the real host does. */
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

static bool check_event(struct source *s, struct event *event)
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

/* Checks that all events of the source were read. */
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
		if (!check_event(s, batch[i])) {
			atomic_store(&s->stop, true);
			return;
		}
	if (n)
		s->last_ms = now_ms();
	if (rc != RC_SUCCESS && rc != RC_TIMEOUT)
		check_end(s, rc);
	else if (s->kind == LINES_FILE && atomic_load(&s->taken) == s->count)
		/* A followed file has no end. */
		check_complete(s);
}

/* A thread of the host. It may end in the middle of a source; another thread then continues. */
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

/* Returns whether the source is open. */
bool open_source(struct source *s, bool refused)
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

void close_source(struct source *s)
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
