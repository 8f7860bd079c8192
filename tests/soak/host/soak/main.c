/* Runs the rounds, and prints samples and totals. */
#define _GNU_SOURCE
#include "soak.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t seed;
const char *folder;
char **versions;
unsigned version_count;
uint64_t started_ms;

static unsigned entries(const char *path)
{
	DIR *directory = checked(opendir(path));
	unsigned n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n - 2;
}

static unsigned long resident_pages(void)
{
	FILE *file = checked(fopen("/proc/self/statm", "re"));
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

	/* Threads and files of the round may take a moment to end. */
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

static void print_total(void)
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
	/* By default glibc keeps freed memory in an arena for nearly each thread. A leak could hide in these arenas. */
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
	print_total();
	return faults ? 1 : 0;
}
