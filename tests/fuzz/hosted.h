/* What the programs in this directory share: init's pure parts, with libc around them. */
#ifndef FUZZ_HOSTED_H
#define FUZZ_HOSTED_H

/* list.c asks the kernel for memory. Here it gets blocks of exactly that size, and a sanitizer watches both ends. */
#define sys_mmap kernel_mmap
#include "../../init/sys.h"
#undef sys_mmap

#include <stdlib.h>

static inline long sys_mmap(size_t size, int protection, int flags, int fd)
{
	void *block = calloc(1, size);

	(void)protection;
	(void)flags;
	(void)fd;
	return block == NULL ? -ENOMEM : (long)block;
}

#include "../../init/list.c"

/* The table hash of plans made for tests: the seeds in corpus/plan outlive changes that do not concern them. */
#define FUZZ_TABLE_HASH 0

static const char *const fuzz_signatures[OP_COUNT] = {
#define OP(function, name, signature) signature,
#include "../../init/ops.def"
#undef OP
};

#endif
