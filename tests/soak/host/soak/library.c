/* A plugin library and its state. */
#define _GNU_SOURCE
#include "soak.h"

#include <dlfcn.h>
#include <string.h>

const char *const kinds[] = { "pull", "generator", "async", "retry", "push", "own", "file", "pipe" };

atomic_ullong opens[KINDS], events[KINDS], bytes[KINDS], empty_events, ends, closes_midway;
atomic_ullong loads, inits, unloads, threads_made, fields_asked, rotations;
atomic_ullong thrown_by_init, thrown_by_open, thrown_by_sources, thrown_by_fields, retries;

void add(atomic_ullong *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

static void on_log(void *owner, const char *component, const char *text, int severity)
{
	struct state *state = owner;

	(void)component, (void)severity;
	if (!atomic_load(&state->alive))
		fault("a log line after destroy: %s", text);
	if (text && strstr(text, "the source is called again"))
		add(&retries, 1);
}

const char *no_error(void *owner)
{
	(void)owner;
	return NULL;
}

void load(struct state *state)
{
	state->handle = dlopen(state->path, RTLD_NOW | RTLD_LOCAL);
	if (!state->handle)
		die("%s", dlerror());
#define RESOLVE(type, name, args) *(void **)&state->api.name = dlsym(state->handle, "plugin_" #name);
	PLUGIN_FUNCTIONS(RESOLVE)
#undef RESOLVE
	add(&loads, 1);
}

void unload(struct state *state)
{
	dlclose(state->handle);
	if (dlopen(state->path, RTLD_NOW | RTLD_NOLOAD))
		fault("%s is still loaded after dlclose", state->path);
	add(&unloads, 1);
}

const char *last_error(struct state *state)
{
	const char *error = state->plugin ? state->api.get_last_error(state->plugin) : NULL;

	return error ? error : "";
}

bool is_meant(struct state *state)
{
	return strstr(last_error(state), "meant to fail");
}

void destroy(struct state *state)
{
	state->api.destroy(state->plugin);
	state->plugin = NULL;
	atomic_store(&state->alive, false);
}

void init(struct state *state, bool fails)
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
