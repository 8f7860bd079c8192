/*
 * A host without Python that reloads several plugins at once, again and again, as Falco does: beside the running sources it
 * loads, initialises and destroys each library on a thread that then ends; then it closes, destroys and unloads all of
 * them, and begins anew. It prints one JSON object a line: {"sample": …} once all plugins are initialised, {"fault": …}
 * for whatever is not as it must be, {"total": …} at the end. The exit status is 0 if there was no fault.
 *
 * reloads COUNT MILLISECONDS LIBRARY PARAMS [LIBRARY PARAMS …]
 *
 * The payload of each event is "SERIES NUMBER". The numbers of a series begin at 0 and have no gap: after a reload a source
 * may repeat what it has delivered, and must not leave anything out.
 */
#define _GNU_SOURCE
#include "../../hosts/c/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_PLUGINS = 16, MOST_SERIES = 8, MOST_FAULTS = 20, PATIENCE_MS = 30000 };
enum { SEVERITY_WARNING = 4 };

struct api {
#define MEMBER(type, name, args) type(*name) args;
	PLUGIN_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct plugin {
	const char *path;
	const char *params;
	void *handle;
	struct api api;
	void *state;
	void *instance;
	pthread_t thread;
	/* The number that is due in each series, and what came since the last reload. */
	unsigned long next[MOST_SERIES];
	bool seen[MOST_SERIES];
	unsigned long long events;
	atomic_ullong events_of_round;
};

static struct plugin plugins[MOST_PLUGINS];
static unsigned plugin_count;
static atomic_bool stopping;
static atomic_int faults;
static unsigned long long repeated;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E || *c == '"' || *c == '\\')
			*c = '\'';
	printf("{\"fault\":\"%s\"}\n", text);
	fflush(stdout);
	if (atomic_fetch_add(&faults, 1) + 1 >= MOST_FAULTS)
		_exit(1);
}

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
	fprintf(stderr, "reloads: %s: %s\n", what, why ? why : "");
	_exit(2);
}

static unsigned long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000 + (unsigned long long)t.tv_nsec / 1000000;
}

/* Events that were still queued at a close come again, since the sources have cursors: these warnings are due. */
static void on_log(void *owner, const char *component, const char *message, int severity)
{
	(void)owner, (void)component;
	if (severity <= SEVERITY_WARNING && !strstr(message, "still in the channel"))
		fault("logged with severity %d: %s", severity, message);
}

/* ---- Libraries and states ---- */

static void load(struct plugin *plugin)
{
	plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
	if (!plugin->handle)
		die(plugin->path, dlerror());
#define RESOLVE(type, name, args) *(void **)&plugin->api.name = dlsym(plugin->handle, "plugin_" #name);
	PLUGIN_FUNCTIONS(RESOLVE)
#undef RESOLVE
}

static void *initialise(struct plugin *plugin)
{
	struct init_input input = { .config = "", .log = on_log };
	int rc = RC_FAILURE;
	void *state = plugin->api.init(&input, &rc);

	if (rc != RC_SUCCESS)
		die(plugin->path, state ? plugin->api.get_last_error(state) : "init failed");
	return state;
}

/* What Falco does before it ends what runs. */
static void *try_all(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < plugin_count; i++) {
		struct plugin tried = { .path = plugins[i].path };

		load(&tried);
		tried.api.destroy(initialise(&tried));
		dlclose(tried.handle);
	}
	return NULL;
}

/* ---- Events ---- */

static void check(struct plugin *plugin, const struct plugin_event *event)
{
	char text[64];
	unsigned long number;
	unsigned series;

	snprintf(text, sizeof text, "%.*s", (int)event->data_len, (const char *)event->data);
	if (sscanf(text, "%u %lu", &series, &number) != 2 || series >= MOST_SERIES) {
		fault("%s: an event is \"%s\"", plugin->path, text);
		return;
	}
	if (number > plugin->next[series] || (plugin->seen[series] && number != plugin->next[series]))
		fault("%s: number %lu of series %u came, and %lu is due", plugin->path, number, series, plugin->next[series]);
	if (number < plugin->next[series])
		repeated += plugin->next[series] - number;
	plugin->next[series] = number + 1;
	plugin->seen[series] = true;
	plugin->events++;
	atomic_fetch_add(&plugin->events_of_round, 1);
}

static void *capture(void *argument)
{
	struct plugin *plugin = argument;

	while (!atomic_load(&stopping)) {
		struct event **events = NULL;
		uint32_t count = 0;
		int rc = plugin->api.next_batch(plugin->state, plugin->instance, &count, &events);

		if (rc == RC_TIMEOUT)
			continue;
		if (rc != RC_SUCCESS) {
			fault("%s: next_batch returned %d: %s", plugin->path, rc, plugin->api.get_last_error(plugin->state));
			break;
		}
		for (uint32_t i = 0; i < count; i++)
			check(plugin, (const struct plugin_event *)events[i]);
	}
	return NULL;
}

/* Until the time is over and each source has delivered something. */
static void wait_for_events(unsigned long long ms)
{
	unsigned long long begun = now_ms();

	for (unsigned i = 0; i < plugin_count; i++) {
		while (!atomic_load(&plugins[i].events_of_round)) {
			if (now_ms() - begun > PATIENCE_MS) {
				fault("%s: no event in %d s", plugins[i].path, PATIENCE_MS / 1000);
				break;
			}
			usleep(1000);
		}
	}
	while (now_ms() - begun < ms)
		usleep(1000);
}

/* ---- What must not grow ---- */

static unsigned entries(const char *folder)
{
	DIR *directory = opendir(folder);
	unsigned count = 0;

	if (!directory)
		die(folder, "cannot be read");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

static unsigned long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		die("/proc/self/statm", "cannot be read");
	fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Threads that are left: this one, the interpreter's, and those that do not end. Others get a second to end in. */
static unsigned threads_left(void)
{
	unsigned left = entries("/proc/self/task");

	for (int waits = 0; left > 2 && waits < 200; waits++) {
		usleep(5000);
		left = entries("/proc/self/task");
	}
	return left;
}

/* The first plugin tells of the interpreter by its suggestion for the open parameters. */
static void sample(unsigned reload)
{
	int rc = RC_FAILURE;
	/* First, so that Python does not count a thread that is ending. */
	unsigned threads = threads_left();
	const char *python = plugins[0].api.list_open_params(plugins[0].state, &rc);
	struct mallinfo2 heap = mallinfo2();

	if (rc != RC_SUCCESS)
		die("list_open_params", plugins[0].api.get_last_error(plugins[0].state));
	printf("{\"sample\":{\"reload\":%u,\"rss_kib\":%lu,\"heap_kib\":%zu,\"descriptors\":%u,\"threads\":%u,\"python\":%s}}\n",
	       reload, resident_kib(), (heap.uordblks + heap.hblkhd) / 1024, entries("/proc/self/fd") - 1,
	       threads, python);
	fflush(stdout);
}

/* ---- Rounds ---- */

static void begin(void)
{
	for (unsigned i = 0; i < plugin_count; i++) {
		load(&plugins[i]);
		plugins[i].state = initialise(&plugins[i]);
	}
}

static void run(unsigned long long ms)
{
	pthread_t trial;

	atomic_store(&stopping, false);
	for (unsigned i = 0; i < plugin_count; i++) {
		struct plugin *plugin = &plugins[i];
		int rc = RC_FAILURE;

		memset(plugin->seen, 0, sizeof plugin->seen);
		atomic_store(&plugin->events_of_round, 0);
		plugin->instance = plugin->api.open(plugin->state, plugin->params, &rc);
		if (rc != RC_SUCCESS)
			die(plugin->path, plugin->api.get_last_error(plugin->state));
	}
	for (unsigned i = 0; i < plugin_count; i++)
		if (pthread_create(&plugins[i].thread, NULL, capture, &plugins[i]))
			die(plugins[i].path, "no thread");
	if (pthread_create(&trial, NULL, try_all, NULL))
		die("the trial", "no thread");
	pthread_join(trial, NULL);
	wait_for_events(ms);
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < plugin_count; i++)
		pthread_join(plugins[i].thread, NULL);
	for (unsigned i = 0; i < plugin_count; i++)
		plugins[i].api.close(plugins[i].state, plugins[i].instance);
}

static void end(void)
{
	for (unsigned i = 0; i < plugin_count; i++)
		plugins[i].api.destroy(plugins[i].state);
	for (unsigned i = 0; i < plugin_count; i++) {
		dlclose(plugins[i].handle);
		if (dlopen(plugins[i].path, RTLD_NOW | RTLD_NOLOAD))
			fault("%s is still loaded after dlclose", plugins[i].path);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5 || argc % 2 != 1 || argc > 3 + 2 * MOST_PLUGINS)
		die("usage", "reloads COUNT MILLISECONDS LIBRARY PARAMS [LIBRARY PARAMS ...]");
	unsigned reloads = (unsigned)atoi(argv[1]);
	unsigned long long ms = (unsigned long long)atoi(argv[2]), begun = now_ms();

	for (int i = 3; i < argc; i += 2)
		plugins[plugin_count++] = (struct plugin){ .path = argv[i], .params = argv[i + 1] };
	signal(SIGPIPE, SIG_IGN);
	/* By itself glibc keeps what is freed, in an arena for nearly each thread: what is lost could hide in it. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	for (unsigned reload = 0; reload <= reloads; reload++) {
		begin();
		sample(reload);
		run(ms);
		end();
	}
	printf("{\"total\":{\"seconds\":%.1f,\"repeated\":%llu,\"events\":[", (double)(now_ms() - begun) / 1e3, repeated);
	for (unsigned i = 0; i < plugin_count; i++)
		printf("%s%llu", i ? "," : "", plugins[i].events);
	printf("]}}\n");
	return faults ? 1 : 0;
}
