/*
 * The part of the Falco plugin API (a C ABI, version 3.12) that the test host uses: declared here
 * from its documented layout, with different names, so that the host needs no other header.
 */
#ifndef HOST_PLUGIN_H
#define HOST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

enum { RC_SUCCESS = 0, RC_FAILURE = 1, RC_TIMEOUT = -1, RC_EOF = 2, RC_NOT_SUPPORTED = 3 };
enum { SCHEMA_NONE = 0, SCHEMA_JSON = 1 };
enum { TYPE_PLUGIN_EVENT = 322 };
enum {
	FIELD_UINT64 = 8,
	FIELD_STRING = 9,
	FIELD_RELTIME = 20,
	FIELD_ABSTIME = 21,
	FIELD_BOOL = 25,
	FIELD_IPADDR = 40,
	FIELD_IPNET = 41,
};

/* The event: this header, then the length of each parameter, then the parameters. */
struct __attribute__((packed)) event {
	uint64_t ts;
	uint64_t tid;
	uint32_t len;
	uint16_t type;
	uint32_t nparams;
};

/* A plugin event has two parameters: the plugin id (4 bytes) and the payload. */
struct __attribute__((packed)) plugin_event {
	struct event header;
	uint32_t id_len;
	uint32_t data_len;
	uint32_t id;
	unsigned char data[];
};

_Static_assert(sizeof(struct event) == 26, "the event header is packed");
_Static_assert(offsetof(struct plugin_event, data) == 38, "the payload starts at byte 38");

struct event_input {
	const struct event *evt;
	uint64_t evtnum;
	const char *evtsrc;
};

typedef void log_fn(void *owner, const char *component, const char *msg, int severity);
typedef const char *owner_error_fn(void *owner);
typedef int async_handler_fn(void *owner, const struct event *evt, char *err);

struct init_input {
	const char *config;
	void *owner;
	owner_error_fn *get_owner_last_error;
	const void *tables;
	log_fn *log;
};

struct set_config_input {
	const char *config;
};

enum { METRIC_UNSIGNED = 2, METRIC_SIGNED = 3, METRIC_DOUBLE = 4 };

struct metric {
	const char *name;
	uint32_t type;
	union {
		uint64_t u;
		int64_t s;
		double d;
	} value;
	uint32_t value_type;
};

_Static_assert(sizeof(struct metric) == 32, "the layout of one metric");

struct byte_buffer {
	uint32_t len;
	const void *ptr;
};

/* Booleans are 32 bits wide, and anything but 0 is true. */
struct extract_field {
	union {
		const char *const *text;
		const uint64_t *number;
		const uint32_t *boolean;
		const struct byte_buffer *buffer;
		const void *any;
	} res;
	uint64_t res_len;
	uint32_t field_id;
	const char *field;
	const char *arg_key;
	uint64_t arg_index;
	uint32_t arg_present;
	uint32_t ftype;
	uint32_t flist;
};

/* Arrays of the plugin's, with an entry for each value. */
struct value_offsets {
	const uint32_t *start;
	const uint32_t *length;
};

/* The vtables are never called through here, so only their sizes count. */
struct extract_input {
	void *owner;
	owner_error_fn *get_owner_last_error;
	uint32_t num_fields;
	struct extract_field *fields;
	void (*table_reader[4])(void);
	void *table_reader_ext;
	struct value_offsets *value_offsets;
};

_Static_assert(sizeof(struct extract_field) == 64, "the layout of one asked field");
_Static_assert(sizeof(struct extract_input) == 80, "the layout since plugin API 3.11");

struct parse_input {
	void *owner;
	owner_error_fn *get_owner_last_error;
	void (*table_reader[4])(void);
	void (*table_writer[6])(void);
	void *table_reader_ext;
	void *table_writer_ext;
};

struct listen_input {
	void *owner;
	void *routine;
	void *table_reader_ext;
	void *table_writer_ext;
	owner_error_fn *get_owner_last_error;
};

/* Every function of the API: return type, name without `plugin_`, arguments. */
#define PLUGIN_FUNCTIONS(F)                                                                        \
	F(const char *, get_required_api_version, (void))                                          \
	F(const char *, get_required_event_schema_version, (void *state))                          \
	F(const char *, get_init_schema, (int *type))                                              \
	F(void *, init, (const struct init_input *in, int *rc))                                    \
	F(void, destroy, (void *state))                                                            \
	F(const char *, get_last_error, (void *state))                                             \
	F(const char *, get_name, (void))                                                          \
	F(const char *, get_description, (void))                                                   \
	F(const char *, get_contact, (void))                                                       \
	F(const char *, get_version, (void))                                                       \
	F(uint32_t, get_id, (void))                                                                \
	F(const char *, get_event_source, (void))                                                  \
	F(void *, open, (void *state, const char *params, int *rc))                                \
	F(void, close, (void *state, void *instance))                                              \
	F(const char *, list_open_params, (void *state, int *rc))                                  \
	F(const char *, get_progress, (void *state, void *instance, uint32_t *pct))                \
	F(const char *, event_to_string, (void *state, const struct event_input *in))              \
	F(int, next_batch, (void *state, void *instance, uint32_t *n, struct event ***events))     \
	F(uint16_t *, get_extract_event_types, (uint32_t *n, void *state))                         \
	F(const char *, get_extract_event_sources, (void))                                         \
	F(const char *, get_fields, (void))                                                        \
	F(int, extract_fields,                                                                     \
	  (void *state, const struct event_input *evt, const struct extract_input *in))            \
	F(uint16_t *, get_parse_event_types, (uint32_t *n, void *state))                           \
	F(const char *, get_parse_event_sources, (void))                                           \
	F(int, parse_event,                                                                        \
	  (void *state, const struct event_input *evt, const struct parse_input *in))              \
	F(const char *, get_async_event_sources, (void))                                           \
	F(const char *, get_async_events, (void))                                                  \
	F(int, set_async_event_handler, (void *state, void *owner, async_handler_fn *handler))     \
	F(int, dump_state, (void *state, void *owner, async_handler_fn *handler))                  \
	F(int, set_config, (void *state, const struct set_config_input *in))                       \
	F(struct metric *, get_metrics, (void *state, uint32_t *n))                                \
	F(int, capture_open, (void *state, const struct listen_input *in))                         \
	F(int, capture_close, (void *state, const struct listen_input *in))

#endif
