#include "init.h"

#include <linux/mman.h>

/* One allocation per list, never freed: a list lives until execve. */
const char *const *list_vector(const struct argument *list, const char *extra)
{
	size_t entries = (size_t)list->count + 2;
	const char **vector;
	const char *next = list->data;
	u32 used = 0;
	long address = sys_mmap(entries * sizeof *vector, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (address < 0 && address > -4096)
		return NULL;
	vector = (const char **)(uintptr_t)address;
	while (used < list->count) {
		vector[used++] = next;
		next += strlen(next) + 1;
	}
	if (extra != NULL)
		vector[used++] = extra;
	vector[used] = NULL;
	return vector;
}
