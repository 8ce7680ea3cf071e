/*
 * Fuzz target: the search for a home directory in an /etc/passwd of the image. The input is the uid in four bytes, how
 * much read(2) gives at most in one, and the file.
 */
#define sys_read kernel_read
#include "../../init/sys.h"
#undef sys_read

#include <stdlib.h>
#include <string.h>

#define LONGEST_LINE 4095 /* longer ones are passed over */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const u8 *file;
static size_t left, step;

static long sys_read(int fd, void *buffer, size_t size)
{
	size_t given = size < step ? size : step;

	(void)fd;
	if (given > left)
		given = left;
	memcpy(buffer, file, given);
	file += given;
	left -= given;
	return (long)given;
}

#include "../../init/passwd.c"

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* Returns the field of that index of a line, and its size; NULL if there are not so many. */
static const char *field_of(const char *line, size_t size, int index, size_t *field_size)
{
	const char *end = line + size, *colon;

	for (; index > 0; index--) {
		colon = memchr(line, ':', (size_t)(end - line));
		if (colon == NULL)
			return NULL;
		line = colon + 1;
	}
	colon = memchr(line, ':', (size_t)(end - line));
	*field_size = (size_t)((colon == NULL ? end : colon) - line);
	return line;
}

static bool is_uid(const char *text, size_t size, u64 uid)
{
	char digits[16] = { 0 };

	while (size > 1 && text[0] == '0') {
		text++;
		size--;
	}
	if (size == 0 || size > 10 || strspn(text, "0123456789") < size)
		return false;
	memcpy(digits, text, size);
	return strtoull(digits, NULL, 10) == uid;
}

/* The same search with the whole file in memory: the first line of at most LONGEST_LINE bytes with that uid counts. */
static size_t search(const char *text, size_t size, u64 uid, const char **home)
{
	const char *end = text + size;

	*home = NULL;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline == NULL ? end : newline) - text), field_size;
		const char *field = field_of(text, length, 2, &field_size);

		if (length <= LONGEST_LINE && field != NULL && is_uid(field, field_size, uid)) {
			field = field_of(text, length, 5, &field_size);
			if (field != NULL) {
				*home = memchr(field, '\0', field_size) == NULL ? field : NULL;
				return *home == NULL ? 0 : field_size;
			}
		}
		text += length + 1;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *buffer = malloc(PATH_MAX), *copy;
	const char *wanted;
	struct text home;
	u32 uid;
	size_t wanted_size;

	require(buffer != NULL);
	text_start(&home, buffer, PATH_MAX);
	if (size > sizeof uid + 1 && size < MAX_PASSWD) {
		memcpy(&uid, data, sizeof uid);
		step = (size_t)data[sizeof uid] * 32 + 1;
		left = size - sizeof uid - 1;
		file = data + sizeof uid + 1;
		copy = calloc(1, left + 1); /* ends in a NUL, for strspn */
		require(copy != NULL);
		memcpy(copy, file, left);
		wanted_size = search(copy, left, uid, &wanted);
		passwd_home(-1, uid, &home);
		require(home.used == wanted_size && !home.cut);
		require(wanted_size == 0 || memcmp(home.data, wanted, wanted_size) == 0);
		free(copy);
	}
	free(buffer);
	return 0;
}
