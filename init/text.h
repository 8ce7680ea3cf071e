/* Bytes and text: what a compiler expects to find, and little more. */
#ifndef PYRUNTIME_TEXT_H
#define PYRUNTIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *data, int value, size_t size);
size_t strlen(const char *text);

/* Text of bounded size; what does not fit is cut, and `cut` says so. Always ends in NUL. */
struct text {
	char *data;
	size_t size;  /* of the buffer */
	size_t used;  /* without the NUL */
	bool cut;
};

void text_start(struct text *text, char *buffer, size_t size);
void text_add(struct text *text, const char *data, size_t size);
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);

bool text_equal(const char *a, const char *b);
/* Decimal digits only, at most `limit`. Returns false on anything else. */
bool text_parse(const char *data, size_t size, uint64_t limit, uint64_t *out);

#endif
