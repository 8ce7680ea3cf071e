/* The home directory of a user, from a file in the format of passwd(5) that may hold anything. */
#include "init.h"

#define MAX_PASSWD (1u << 20)

/* The sixth field of the line of passwd(5) that has this uid. */
static bool home_in_line(const char *line, size_t size, u64 uid, struct text *home)
{
	const char *field = line, *end = line + size;
	u64 number;

	for (int index = 0; field <= end; index++) {
		const char *colon = memchr(field, ':', (size_t)(end - field));
		const char *stop = colon != NULL ? colon : end;

		if (index == 2 && (!text_parse(field, (size_t)(stop - field), 0xffffffff, &number) || number != uid))
			return false;
		if (index == 5) {
			if (memchr(field, '\0', (size_t)(stop - field)) == NULL) /* no environment could hold it */
				text_add(home, field, (size_t)(stop - field));
			return true;
		}
		if (colon == NULL)
			return false;
		field = stop + 1;
	}
	return false;
}

/* Reads the file line by line; a line longer than the buffer is passed over. */
void passwd_home(int fd, u64 uid, struct text *home)
{
	char buffer[4096];
	size_t have = 0, total = 0;
	bool skipping = false;

	while (total < MAX_PASSWD) {
		long size = sys_read(fd, buffer + have, sizeof buffer - have);
		char *newline, *line = buffer;

		if (size <= 0)
			break;
		total += (size_t)size;
		have += (size_t)size;
		while ((newline = memchr(line, '\n', (size_t)(buffer + have - line))) != NULL) {
			if (!skipping && home_in_line(line, (size_t)(newline - line), uid, home))
				return;
			skipping = false;
			line = newline + 1;
		}
		have = (size_t)(buffer + have - line);
		memmove(buffer, line, have);
		if (have == sizeof buffer) {
			skipping = true;
			have = 0;
		}
	}
	if (have > 0 && !skipping)
		home_in_line(buffer, have, uid, home);
}
