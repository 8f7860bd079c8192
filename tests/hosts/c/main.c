/* A small host for plugin libraries. See ../README.md for the commands. */
#define _GNU_SOURCE
#include "host.h"

#include <string.h>

static const char usage[] =
	"usage: host cycle LIB N PARAMS | interleave LIB1 LIB2 PARAMS | race LIB1 LIB2 PARAMS |"
	" triple LIB PARAMS | threadend LIB PARAMS | replace LIB NEWLIB PARAMS |"
	" swap LIB NEWLIB HOW PARAMS |"
	" relative LIB PARAMS | initfail LIB CONFIG | log LIB CONFIG PARAMS | nulls LIB |"
	" symbols LIB | idle LIB PARAMS SECONDS | parallel LIB PARAMS N | static LIB |"
	" extract LIB CONFIG PARAMS FIELDS | replay LIB CONFIG FIELDS PAYLOADS |"
	" together LIB CONFIG FIELDS PAYLOADS | twins LIB CONFIG FIELDS PAYLOADS ROUNDS STATES |"
	" script LIB FIELDS CALLS | held LIB"
	" (environment: HOST_CONFIG, HOST_TIMEOUTS, HOST_EVENTS, HOST_LATE_MS, HOST_LOG, HOST_PAUSE_US, HOST_TEXT)";

static const struct {
	const char *name;
	int arguments;
	void (*run)(char **arguments);
} commands[] = {
	{ "cycle", 3, do_cycle },       { "interleave", 3, do_interleave },
	{ "race", 3, do_race },         { "triple", 2, do_triple },
	{ "threadend", 2, do_threadend }, { "replace", 3, do_replace },
	{ "relative", 2, do_relative }, { "initfail", 2, do_initfail },
	{ "log", 3, do_log },           { "nulls", 1, do_nulls },
	{ "symbols", 1, do_symbols },   { "idle", 3, do_idle },
	{ "parallel", 3, do_parallel },   { "static", 1, do_static },
	{ "extract", 4, do_extract },   { "replay", 4, do_replay },
	{ "together", 4, do_together }, { "twins", 6, do_twins },
	{ "script", 3, do_script },     { "swap", 4, do_swap },
	{ "held", 1, do_held },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands && argc > 1; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (argc - 2 != commands[i].arguments)
			break;
		commands[i].run(argv + 2);
		return exit_status;
	}
	die(usage);
}
