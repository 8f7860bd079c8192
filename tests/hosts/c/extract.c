/* Commands that extract fields: extract, replay, together, twins. */
#define _GNU_SOURCE
#include "host.h"

#include <stdlib.h>
#include <string.h>

void do_extract(char **a)
{
	struct requests requests = read_requests(a[3]);
	struct lib lib;
	struct run run;
	struct text line = {0};

	open_or_die(&lib, a[0]);
	init_or_die(&run, &lib, a[1], &requests);
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
	free(requests.all);
}

/* Extracts from events that were not read from a source: init is called, open is not. */
static void replay(char **a, bool together)
{
	struct requests requests = read_requests(a[2]);
	struct events events = make_events(a[3]);
	struct lib lib;
	struct run run;

	open_or_die(&lib, a[0]);
	atomic_store(&show_logs, true);
	init_or_die(&run, &lib, a[1], &requests);
	for (size_t i = 0; i < events.count; i++) {
		const struct event *evt = &events.all[i]->header;
		struct event_input in = { evt, ++run.events, lib.source };
		struct text line = {0};

		put(&line, "{\"event\":%zu,", i + 1);
		if (together)
			extract(&run, evt, requests.all, requests.count, true, &line);
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
	free(requests.all);
}

void do_replay(char **a)
{
	replay(a, false);
}

void do_together(char **a)
{
	replay(a, true);
}

struct twin {
	struct run run;
	struct events events;
	char **expected; /* the output for each event */
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
			me->calls += (long)me->run.requests->count;
			me->wrong += strcmp(line.data, me->expected[at]) != 0;
			free(line.data);
		}
	}
	return NULL;
}

/* Two threads extract concurrently, each from its own copy of the events, on a shared state or on two states. */
void do_twins(char **a)
{
	struct requests requests = read_requests(a[2]);
	long states = parse_count(a[5]);
	struct lib lib;
	struct twin twins[2] = {0};
	pthread_t threads[2];
	pthread_barrier_t barrier;

	open_or_die(&lib, a[0]);
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		struct twin *twin = &twins[i];

		if (i < states)
			init_or_die(&twin->run, &lib, a[1], &requests);
		else
			twin->run = twins[0].run;
		twin->events = make_events(a[3]);
		twin->expected = checked(calloc(twin->events.count, sizeof *twin->expected));
		twin->rounds = parse_count(a[4]);
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
	free(requests.all);
}
