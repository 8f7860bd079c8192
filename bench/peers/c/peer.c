/*
 * A lower bound of the cost of an event source. Events are packed into one block of memory, and each
 * payload is copied into it once. It checks only what the workloads need.
 *
 * Open params: `batch WORKLOAD`; bench/workloads.py describes the workloads.
 */
#include "../../../tests/hosts/c/plugin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DECLARE(type, name, arguments) type plugin_##name arguments;
PLUGIN_FUNCTIONS(DECLARE)

/* Blocks of 1 MiB took a fifth longer, because they leave the cache before they are copied. */
enum { BATCH_EVENTS = 128, BATCH_BYTES = 1 << 20, BLOCK_BYTES = 1 << 18, LARGEST_EVENT = 1204 << 10 };

/* A batch ends with the event that crosses BATCH_BYTES: larger batches do not stay in the cache. */
struct batch {
	uint32_t count;
	size_t used;
	struct event *events[BATCH_EVENTS];
	unsigned char memory[BATCH_BYTES + LARGEST_EVENT + 4096];
};

struct bytes {
	const unsigned char *start;
	size_t len;
};

struct instance {
	int (*fill)(struct instance *);
	struct batch batch;
	/* lines and random: the whole file; file: one block; its unread part begins at `at`. */
	unsigned char *buffer;
	size_t len;
	size_t at;
	/* lines */
	struct bytes *lines;
	size_t count;
	/* random */
	uint32_t state;
	/* file */
	int fd;
};

static char last_error[256];

static int fail(const char *what)
{
	snprintf(last_error, sizeof(last_error), "%s", what);
	return RC_FAILURE;
}

static int full(const struct batch *batch)
{
	return batch->count == BATCH_EVENTS || batch->used >= BATCH_BYTES;
}

static void add(struct batch *batch, const void *data, size_t len)
{
	struct plugin_event *event = (struct plugin_event *)(batch->memory + batch->used);

	event->header = (struct event){
		.ts = UINT64_MAX,
		.tid = UINT64_MAX,
		.len = sizeof(*event) + len,
		.type = TYPE_PLUGIN_EVENT,
		.nparams = 2,
	};
	event->id_len = sizeof(event->id);
	event->data_len = len;
	event->id = 0;
	memcpy(event->data, data, len);
	batch->events[batch->count++] = &event->header;
	batch->used += (sizeof(*event) + len + 7) & ~(size_t)7;
}

static int fill_empty(struct instance *self)
{
	while (!full(&self->batch))
		add(&self->batch, "", 0);
	return RC_SUCCESS;
}

static int fill_lines(struct instance *self)
{
	while (!full(&self->batch)) {
		struct bytes line = self->lines[self->at++];

		if (self->at == self->count)
			self->at = 0;
		add(&self->batch, line.start, line.len);
	}
	return RC_SUCCESS;
}

static int fill_random(struct instance *self)
{
	while (!full(&self->batch)) {
		self->state ^= self->state << 13;
		self->state ^= self->state >> 17;
		self->state ^= self->state << 5;
		add(&self->batch, self->buffer, 1024 + self->state % (LARGEST_EVENT - 1024));
	}
	return RC_SUCCESS;
}

/* Moves the unread rest of the block to the front and reads another block after it. */
static ssize_t read_block(struct instance *self)
{
	ssize_t got;

	self->len -= self->at;
	memmove(self->buffer, self->buffer + self->at, self->len);
	self->at = 0;
	got = read(self->fd, self->buffer + self->len, BLOCK_BYTES);
	if (got > 0)
		self->len += got;
	return got;
}

static int fill_file(struct instance *self)
{
	while (!full(&self->batch)) {
		unsigned char *start = self->buffer + self->at;
		size_t left = self->len - self->at;
		unsigned char *end = memchr(start, '\n', left);

		if ((end == NULL ? left : (size_t)(end - start)) > BLOCK_BYTES)
			return fail("a line is longer than a block");
		if (end != NULL) {
			add(&self->batch, start, end - start);
			self->at = end + 1 - self->buffer;
			continue;
		}
		switch (read_block(self)) {
		case -1:
			return fail("cannot read the file");
		case 0:
			return self->batch.count == 0 ? RC_EOF : RC_SUCCESS;
		}
	}
	return RC_SUCCESS;
}

static int read_all(struct instance *self)
{
	ssize_t got;
	off_t size = lseek(self->fd, 0, SEEK_END);

	self->buffer = malloc(size);
	while ((got = pread(self->fd, self->buffer + self->len, size - self->len, self->len)) > 0)
		self->len += got;
	return got == 0 && self->len > 0 ? RC_SUCCESS : fail("the file is empty or cannot be read");
}

static void split(struct instance *self)
{
	unsigned char *start = self->buffer;
	unsigned char *end;

	for (size_t at = 0; at < self->len; at++)
		self->count += self->buffer[at] == '\n';
	self->lines = calloc(self->count, sizeof(*self->lines));
	for (size_t line = 0; line < self->count; line++, start = end + 1) {
		end = memchr(start, '\n', self->buffer + self->len - start);
		self->lines[line] = (struct bytes){start, end - start};
	}
}

static int prepare(struct instance *self, const char *params)
{
	const char *file = strchr(params, ':');

	self->fd = -1;
	if (strcmp(params, "batch empty") == 0) {
		self->fill = fill_empty;
		return RC_SUCCESS;
	}
	if (file != NULL)
		self->fd = open(file + 1, O_RDONLY | O_CLOEXEC);
	if (self->fd == -1)
		return fail("unknown workload, or its file cannot be opened");
	if (strncmp(params, "batch file:", 11) == 0) {
		self->fill = fill_file;
		self->buffer = malloc(2 * BLOCK_BYTES);
		return RC_SUCCESS;
	}
	if (read_all(self) != RC_SUCCESS)
		return RC_FAILURE;
	if (strncmp(params, "batch lines:", 12) == 0) {
		self->fill = fill_lines;
		split(self);
		return self->count > 0 ? RC_SUCCESS : fail("the file has no lines");
	}
	if (strncmp(params, "batch random:", 13) == 0) {
		self->fill = fill_random;
		self->state = 1;
		return self->len == LARGEST_EVENT ? RC_SUCCESS : fail("the file must have the length of the largest event");
	}
	return fail("unknown workload");
}

void *plugin_open(void *state, const char *params, int *rc)
{
	struct instance *self = calloc(1, sizeof(*self));

	(void)state;
	*rc = prepare(self, params);
	if (*rc == RC_SUCCESS)
		return self;
	plugin_close(NULL, self);
	return NULL;
}

void plugin_close(void *state, void *instance)
{
	struct instance *self = instance;

	(void)state;
	if (self->fd != -1)
		close(self->fd);
	free(self->lines);
	free(self->buffer);
	free(self);
}

int plugin_next_batch(void *state, void *instance, uint32_t *n, struct event ***events)
{
	struct instance *self = instance;
	int rc;

	(void)state;
	self->batch.count = 0;
	self->batch.used = 0;
	rc = self->fill(self);
	*n = self->batch.count;
	*events = self->batch.events;
	return rc;
}

void *plugin_init(const struct init_input *in, int *rc)
{
	(void)in;
	*rc = RC_SUCCESS;
	return last_error;
}

void plugin_destroy(void *state)
{
	(void)state;
}

const char *plugin_get_last_error(void *state)
{
	(void)state;
	return last_error;
}

const char *plugin_get_required_api_version(void)
{
	return "3.0.0";
}

const char *plugin_get_name(void)
{
	return "bench-c";
}

const char *plugin_get_version(void)
{
	return "0.0.0";
}

const char *plugin_get_description(void)
{
	return "A lower bound of the cost of an event source";
}

const char *plugin_get_contact(void)
{
	return "";
}

uint32_t plugin_get_id(void)
{
	return 999;
}

const char *plugin_get_event_source(void)
{
	return "bench";
}
