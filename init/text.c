#include "text.h"

#ifndef HOSTED /* the fuzz and sanitizer builds bring libc */

void *memcpy(void *to, const void *from, size_t size)
{
	char *out = to;
	const char *in = from;

	for (size_t i = 0; i < size; i++)
		out[i] = in[i];
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	char *out = to;
	const char *in = from;

	if (out < in)
		return memcpy(to, from, size);
	while (size-- > 0)
		out[size] = in[size];
	return to;
}

void *memset(void *to, int value, size_t size)
{
	char *out = to;

	for (size_t i = 0; i < size; i++)
		out[i] = (char)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *left = a, *right = b;

	for (size_t i = 0; i < size; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

void *memchr(const void *data, int value, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] == (unsigned char)value)
			return (void *)(uintptr_t)(bytes + i);
	return NULL;
}

size_t strlen(const char *text)
{
	size_t size = 0;

	while (text[size] != '\0')
		size++;
	return size;
}

#endif

void text_start(struct text *text, char *buffer, size_t size)
{
	text->data = buffer;
	text->size = size;
	text->used = 0;
	text->cut = false;
	buffer[0] = '\0';
}

void text_add(struct text *text, const char *data, size_t size)
{
	size_t room = text->size - text->used - 1;

	if (size > room) {
		text->cut = true;
		size = room;
	}
	memcpy(text->data + text->used, data, size);
	text->used += size;
	text->data[text->used] = '\0';
}

void text_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number)
{
	char digits[20];
	size_t start = sizeof digits;

	do {
		digits[--start] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	text_add(text, digits + start, sizeof digits - start);
}

bool text_equal(const char *a, const char *b)
{
	size_t size = strlen(a);

	return size == strlen(b) && memcmp(a, b, size) == 0;
}

bool text_parse(const char *data, size_t size, uint64_t limit, uint64_t *out)
{
	uint64_t value = 0;

	if (size == 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		uint64_t digit = (uint64_t)(unsigned char)data[i] - '0'; /* what is below '0' becomes very large */

		if (digit > 9 || digit > limit || value > (limit - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}
