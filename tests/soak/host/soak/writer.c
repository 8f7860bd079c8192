/* Writes the lines that a source reads. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Waits until the reader is less than `ahead` events behind. Returns false once the source is closed. */
static bool may_write(struct source *s, uint64_t written, uint64_t ahead)
{
	while (!atomic_load(&s->closed) && atomic_load(&s->taken) + ahead < written)
		usleep(1000);
	return !atomic_load(&s->closed);
}

static void write_whole(struct source *s, struct dice *dice, int fd, const char *data, size_t n)
{
	while (n && !atomic_load(&s->closed)) {
		struct pollfd writable = { fd, POLLOUT, 0 };
		/* Some lines are written in pieces. */
		ssize_t done = write(fd, data, one_in(dice, 8) ? 1 + roll(dice) % n : n);

		if (done > 0) {
			data += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) {
			poll(&writable, 1, 20);
		} else {
			die("cannot write %s: %s", s->path, strerror(errno));
		}
	}
}

int open_to_write(const struct source *s)
{
	/* Open a FIFO for both reading and writing: it then always has a reader. */
	int flags = s->kind == LINES_PIPE ? O_RDWR | O_NONBLOCK : O_WRONLY | O_CREAT | O_APPEND;
	int fd = open(s->path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("cannot open %s: %s", s->path, strerror(errno));
	return fd;
}

static void rotate(struct source *s, struct dice *dice)
{
	char aside[330];

	snprintf(aside, sizeof aside, "%s.1", s->path);
	if (rename(s->path, aside))
		die("cannot rename %s: %s", s->path, strerror(errno));
	close(s->fd);
	if (one_in(dice, 2))
		usleep(below(dice, 50000));
	s->fd = open_to_write(s);
	add(&rotations, 1);
}

static size_t write_event(const struct source *s, uint32_t number, char *line)
{
	uint64_t bits = plan(s->key, 0, number);
	const char *body = bodies + (bits >> 40) % TEXT;
	int size = body_size(bits);

	if (size == EMPTY)
		return 0;
	write_head(line, s->state->version, s->key, 0, number, body, (size_t)size);
	memcpy(line + HEAD, body, (size_t)size);
	memcpy(line + HEAD + size, "\"}", TAIL);
	return HEAD + (size_t)size + TAIL;
}

void *write_lines(void *argument)
{
	struct source *s = argument;
	struct dice dice = { ~s->key };
	char *line = checked(malloc(HEAD + BODIES + TAIL + 1));
	uint32_t rotated_at = 0;

	for (uint32_t n = 0; n < s->count && may_write(s, n, 4096); n++) {
		size_t len = write_event(s, n, line);

		line[len++] = '\n';
		write_whole(s, &dice, s->fd, line, len);
		if (one_in(&dice, 16))
			usleep(below(&dice, 1 + s->pace_us));
		/* Rotate only a file that the reader has reached: it cannot notice a file that came and went between two checks. */
		if (s->kind == LINES_FILE && one_in(&dice, 300) && atomic_load(&s->taken) > rotated_at) {
			rotate(s, &dice);
			rotated_at = n + 1;
		}
	}
	close(s->fd);
	free(line);
	return NULL;
}

bool has_writer(const struct source *s)
{
	return s->kind == LINES_FILE || s->kind == LINES_PIPE;
}
