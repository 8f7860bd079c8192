/* Errors of this program, strings that grow, and JSON. */
#define _GNU_SOURCE
#include "host.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int exit_status;

/* Prints the reason to stderr in one line. Only the first failure is printed. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	char text[1600];
	va_list args;

	if (exit_status)
		return;
	exit_status = 1;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	fprintf(stderr, "host: %s\n", text);
}

__attribute__((noreturn)) void die(const char *why)
{
	fail("%s", why);
	fflush(stdout);
	_exit(1);
}

void *checked(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

long parse_count(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > 1000000)
		die("a count has to be a number from 1 to 1000000");
	return value;
}

void put_bytes(struct text *t, const void *bytes, size_t n)
{
	if (t->capacity - t->len < n + 1) {
		t->capacity = (t->len + n + 1) * 2;
		t->data = checked(realloc(t->data, t->capacity));
	}
	if (n)
		memcpy(t->data + t->len, bytes, n);
	t->len += n;
	t->data[t->len] = '\0';
}

__attribute__((format(printf, 2, 3))) void put(struct text *t, const char *format, ...)
{
	char part[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(part, sizeof part, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof part)
		die("a part of the output is too long");
	put_bytes(t, part, (size_t)n);
}

/* Returns the length of the valid UTF-8 sequence at s, or 0. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3
		   : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
	    (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return n;
}

void put_string(struct text *t, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;

	if (!s) {
		put(t, "null");
		return;
	}
	if (strlen(value) > LONGEST_STRING) {
		put(t, "{\"length\":%zu}", strlen(value));
		return;
	}
	put_bytes(t, "\"", 1);
	while (*s) {
		size_t n = utf8_len(s);

		if (!n) {
			put(t, "\\ufffd");
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			put(t, "\\%c", *s);
		} else if (*s < 0x20 || *s == 0x7F) {
			put(t, "\\u%04x", *s);
		} else {
			put_bytes(t, s, n);
		}
		s += n;
	}
	put_bytes(t, "\"", 1);
}

void put_base64(struct text *t, const unsigned char *data, size_t n)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put_bytes(t, "\"", 1);
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0u);
		char four[4] = {
			letters[bits >> 18 & 63],
			letters[bits >> 12 & 63],
			left > 1 ? letters[bits >> 6 & 63] : '=',
			left > 2 ? letters[bits & 63] : '=',
		};
		put_bytes(t, four, 4);
	}
	put_bytes(t, "\"", 1);
}

/* Prints the line in one piece, also while other threads print, and frees it. */
void emit(struct text *t)
{
	put_bytes(t, "\n", 1);
	flockfile(stdout);
	fwrite(t->data, 1, t->len, stdout);
	fflush(stdout);
	funlockfile(stdout);
	free(t->data);
	memset(t, 0, sizeof *t);
}

void put_name(struct text *list, const char *name)
{
	if (list->len)
		put(list, ",");
	put_string(list, name);
}
