// A plugin that reads an entry of another plugin's table for each event, at the smallest possible cost.
//
// The table is bench_sessions, whose keys are int64. The entry with the key 7 has the fields "requests" (int64) and "user"
// (string), which are the values of the fields reader.requests and reader.user. It calls the functions that the host passes,
// as each plugin does.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RC_SUCCESS = 0, RC_FAILURE = 1 };
enum { ST_INT64 = 4, ST_STRING = 9 };

typedef union {
	int64_t s64;
	uint64_t u64;
	const char *str;
} state_data;

struct reader_ext {
	const char *(*get_table_name)(void *);
	uint64_t (*get_table_size)(void *);
	void *(*get_table_entry)(void *, const state_data *);
	int (*read_entry_field)(void *, void *, const void *, state_data *);
	void (*release_table_entry)(void *, void *);
	int (*iterate_entries)(void *, void *, void *);
};

struct fields_vtable {
	const void *(*list_table_fields)(void *, uint32_t *);
	void *(*get_table_field)(void *, const char *, uint32_t);
	void *(*add_table_field)(void *, const char *, uint32_t);
};

struct init_tables {
	void *(*list_tables)(void *, uint32_t *);
	void *(*get_table)(void *, const char *, uint32_t);
	int (*add_table)(void *, const void *);
	struct fields_vtable fields;
	struct fields_vtable *fields_ext;
};

struct init_input {
	const char *config;
	void *owner;
	const char *(*get_owner_last_error)(void *);
	const struct init_tables *tables;
	void *log_fn;
};

struct extract_field {
	void *res;
	uint64_t res_len;
	uint32_t field_id;
	const char *field;
	const char *arg_key;
	uint64_t arg_index;
	uint32_t arg_present;
	uint32_t ftype;
	uint32_t flist;
};

struct extract_input {
	void *owner;
	const char *(*get_owner_last_error)(void *);
	uint32_t num_fields;
	struct extract_field *fields;
	void *plain_reader[4];
	struct reader_ext *reader;
};

struct plugin {
	void *table;
	void *requests;
	void *user;
	uint64_t number;
	char *text;
	char memory[256];
};

static char last_error[128];

void *plugin_init(const struct init_input *in, int *rc)
{
	struct plugin *self = calloc(1, sizeof(*self));

	*rc = RC_FAILURE;
	if (in->tables == NULL) {
		strcpy(last_error, "the host passes no tables");
		return self;
	}
	self->table = in->tables->get_table(in->owner, "bench_sessions", ST_INT64);
	if (self->table == NULL) {
		strcpy(last_error, "there is no table bench_sessions");
		return self;
	}
	self->requests = in->tables->fields_ext->get_table_field(self->table, "requests", ST_INT64);
	self->user = in->tables->fields_ext->get_table_field(self->table, "user", ST_STRING);
	if (self->requests == NULL || self->user == NULL)
		strcpy(last_error, "bench_sessions lacks a field");
	else
		*rc = RC_SUCCESS;
	return self;
}

int plugin_extract_fields(void *state, const void *event, const struct extract_input *in)
{
	struct plugin *self = state;
	struct extract_field *field = &in->fields[0];
	state_data key = { .s64 = 7 }, value = { .u64 = 0 };
	void *entry = in->reader->get_table_entry(self->table, &key);
	int is_text = field->field_id == 1, rc;

	(void)event;
	field->res_len = 0;
	if (entry == NULL)
		return RC_SUCCESS;
	rc = in->reader->read_entry_field(self->table, entry, is_text ? self->user : self->requests, &value);
	if (rc == RC_SUCCESS && is_text) {
		// The string is valid until the entry is released.
		strncpy(self->memory, value.str, sizeof(self->memory) - 1);
		self->text = self->memory;
		field->res = &self->text;
		field->res_len = 1;
	} else if (rc == RC_SUCCESS) {
		self->number = value.u64;
		field->res = &self->number;
		field->res_len = 1;
	}
	in->reader->release_table_entry(self->table, entry);
	return RC_SUCCESS;
}

const char *plugin_get_fields(void)
{
	return "[{\"name\": \"reader.requests\", \"type\": \"uint64\", \"desc\": \"A number\"},"
	       " {\"name\": \"reader.user\", \"type\": \"string\", \"desc\": \"A string\"}]";
}

const char *plugin_get_extract_event_sources(void)
{
	return "[\"bench\"]";
}

void plugin_destroy(void *state)
{
	free(state);
}

const char *plugin_get_last_error(void *state)
{
	(void)state;
	return last_error;
}

const char *plugin_get_required_api_version(void)
{
	return "3.11.0";
}

const char *plugin_get_name(void)
{
	return "bench-reader";
}

const char *plugin_get_version(void)
{
	return "0.0.0";
}

const char *plugin_get_description(void)
{
	return "Reads another plugin's table";
}

const char *plugin_get_contact(void)
{
	return "";
}
