/* Opens plugin libraries, and receives their log lines. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

atomic_bool show_logs, destroyed;
atomic_int late_logs;

void on_log(void *owner, const char *component, const char *msg, int severity)
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

const char *on_owner_error(void *owner)
{
	(void)owner;
	return NULL;
}

char *copy_string(const char *text)
{
	return text ? checked(strdup(text)) : NULL;
}

/* Opens the library and reads what a host reads before init. Returns NULL or an error message. */
const char *lib_open(struct lib *lib, const char *path)
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
	lib->name = copy_string(lib->api.get_name());
	lib->id = lib->api.get_id ? lib->api.get_id() : 0;
	lib->source = copy_string(lib->api.get_event_source ? lib->api.get_event_source() : NULL);
	if (lib->api.get_init_schema) {
		lib->api.get_init_schema(&type);
		lib->json_schema = type == SCHEMA_JSON;
	}
	return NULL;
}

void lib_close(struct lib *lib)
{
	if (lib->handle)
		dlclose(lib->handle);
	free(lib->name);
	free(lib->source);
	memset(lib, 0, sizeof *lib);
}

/* Opens the library, or ends the program. */
void open_or_die(struct lib *lib, const char *path)
{
	const char *wrong = lib_open(lib, path);

	if (wrong)
		die(wrong);
}
