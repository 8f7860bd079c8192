/* Commands with several threads: interleave, race, triple, threadend, parallel. */
#define _GNU_SOURCE
#include "host.h"

#include <stdlib.h>

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

/* Two threads call next_batch of their library in turns. When one library ends, the other thread continues alone. */
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

void do_interleave(char **a)
{
	struct turns turns = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, { false, false } };
	struct lib libs[2];
	struct taker takers[2];
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		open_or_die(&libs[i], a[i]);
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

struct racer {
	struct run run;
	pthread_barrier_t *barrier;
	bool leave;  /* the main thread calls close and destroy */
	void *state; /* the state from init, for comparison */
};

static void *racer_thread(void *argument)
{
	struct racer *me = argument;

	pthread_barrier_wait(me->barrier);
	run_init(&me->run);
	me->state = me->run.state;
	/* Wait until all are initialised, so that the states exist at the same time. */
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
	struct racer *racers = checked(calloc((size_t)count, sizeof *racers));
	pthread_t *threads = checked(calloc((size_t)count, sizeof *threads));
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
		ok = ok && !run_has_failed(&racers[i].run);
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

void do_race(char **a)
{
	struct lib first, second;
	struct lib *libs[2] = { &first, &second };

	open_or_die(&first, a[0]);
	open_or_die(&second, a[1]);
	race("race", libs, 2, a[2], false);
	lib_close(&first);
	lib_close(&second);
}

void do_triple(char **a)
{
	struct lib lib;
	struct lib *libs[3] = { &lib, &lib, &lib };

	open_or_die(&lib, a[0]);
	race("triple", libs, 3, a[1], true);
	lib_close(&lib);
}

void do_threadend(char **a)
{
	struct lib lib;

	open_or_die(&lib, a[0]);
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

void do_parallel(char **a)
{
	long count = parse_count(a[2]);
	struct opened *all = checked(calloc((size_t)count, sizeof *all));
	pthread_t *threads = checked(calloc((size_t)count, sizeof *threads));
	pthread_barrier_t barrier;
	struct lib lib;
	struct run owner;

	open_or_die(&lib, a[0]);
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
