/* The plan: computes each event from its number. `plugin/plan.py` has the same plan. */
#define _GNU_SOURCE
#include "soak.h"

#include <inttypes.h>
#include <stdio.h>

char bodies[BODIES + 1];
static uint32_t crc_table[256];

void prepare_plan(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
		crc_table[i] = value;
	}
	for (int i = 0; i < BODIES / 16; i++)
		snprintf(bodies + 16 * i, 17, "%016" PRIx64, mix((uint64_t)(i % 512)));
}

static uint32_t crc32(uint32_t crc, const void *data, size_t n)
{
	crc = ~crc;
	for (const unsigned char *c = data; n--; c++)
		crc = crc_table[(crc ^ *c) & 255] ^ crc >> 8;
	return ~crc;
}

uint64_t plan(uint64_t key, uint32_t producer, uint32_t number)
{
	return mix(key ^ mix((uint64_t)producer << 32 | number));
}

int body_size(uint64_t bits)
{
	unsigned kind = bits & 1023;
	uint64_t rest = bits >> 10;

	return kind < 100  ? EMPTY
	     : kind < 900  ? (int)(rest % 512)
	     : kind < 1012 ? (int)(rest % (16 << 10))
	     : kind < 1023 ? (int)(rest % (256 << 10))
			   : (1 << 20) + (int)(rest % (512 << 10));
}

/* The first HEAD bytes of an event, which hold the checksum of the rest. */
void write_head(char *head, char version, uint64_t key, uint32_t producer, uint32_t number, const void *body,
		       size_t n)
{
	int len = sprintf(head, "{\"v\":\"%c\",\"k\":\"%016" PRIx64 "\",\"p\":\"%02x\",\"n\":\"%08x\",\"c\":\"", version,
			  key, producer, number);

	len += sprintf(head + len, "%08x\",\"b\":\"", crc32(crc32(0, head, (size_t)len), body, n));
	if (len != HEAD)
		die("an event begins with %d bytes", len);
}
