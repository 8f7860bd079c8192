/* Faults, time and chance. */
#define _GNU_SOURCE
#include "soak.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

atomic_int faults;

__attribute__((format(printf, 1, 2))) void fault(const char *format, ...)
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

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "soak: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	_exit(2);
}

void *checked(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t mix(uint64_t bits)
{
	bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
	bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
	return bits ^ bits >> 31;
}

uint64_t roll(struct dice *dice)
{
	return mix(dice->state += 0x9E3779B97F4A7C15u);
}

unsigned below(struct dice *dice, unsigned n)
{
	return (unsigned)(roll(dice) % n);
}

bool one_in(struct dice *dice, unsigned n)
{
	return below(dice, n) == 0;
}
