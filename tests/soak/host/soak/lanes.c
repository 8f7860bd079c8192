/* Lanes: threads that load, use and unload their own library in sessions. Residents: sources that stay open. */
#define _GNU_SOURCE
#include "soak.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lane {
	struct state state, beside;
	struct source sources[OPEN_AT_ONCE];
	bool is_open[OPEN_AT_ONCE];
	struct dice dice;
	uint64_t until_ms;
	pthread_t thread;
};

static struct lane lanes[LANES];

/* Replaces the plugin at the same path by another version, as an update does. */
static void put_version(struct state *state, unsigned version)
{
	static const size_t capacity = 1 << 16;
	char part[310], *block = checked(malloc(capacity));
	int from = open(versions[version], O_RDONLY | O_CLOEXEC), to;
	ssize_t n;

	snprintf(part, sizeof part, "%s.part", state->path);
	to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	while ((n = read(from, block, capacity)) > 0)
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

/* Initialises the same library a second time while it is in use, as a reload does that tries a new configuration. */
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

void run_round(uint64_t round, uint64_t ms)
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

struct state resident;
static struct source residents[KINDS];

void open_residents(void)
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
		s->count = ENDLESS;
		s->producers = kind == PUSH ? PRODUCERS : 1;
		s->pace_us = 100000;
		s->until_ms = s->stop_after = UINT64_MAX;
		s->hop_after = 100;
		snprintf(s->path, sizeof s->path, "%s.%u", resident.path, kind);
		if (!open_source(s, false))
			die("a resident cannot be opened");
	}
}

void close_residents(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		atomic_store(&residents[kind].stop, true);
	for (unsigned kind = 0; kind < KINDS; kind++)
		close_source(&residents[kind]);
	destroy(&resident);
	unload(&resident);
}
