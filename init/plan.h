/*
 * The plan: what Python wants done, as bytes.
 *
 *     header | descriptor table | ops | data
 *
 * All numbers are little-endian. Strings, lists and bytes lie in the data area and are named by offset and size. The
 * whole plan is checked once by plan_open(), before the first op runs; after that no argument needs a second look.
 * pyruntime/plan/form.py writes this format.
 */
#ifndef PYRUNTIME_PLAN_H
#define PYRUNTIME_PLAN_H

#include "sys.h"

#define PLAN_MAGIC 0x31304e414c505950ULL /* "PYPLAN01" */
#define PLAN_MAX_SIZE (64u << 20)
#define PLAN_MAX_OPS 65536u
#define PLAN_MAX_ARGS 8
#define PLAN_MAX_SLOTS 8192u
#define PLAN_OLD_ROOT (PLAN_MAX_SLOTS - 1) /* slot that init keeps for itself */
#define PLAN_STEP 1u /* flags: ask before every op (--debug, fault tests) */

struct plan_header {
	u64 magic;
	u64 table_hash;
	u32 size;	      /* of the whole plan */
	u32 flags;
	u32 descriptor_count; /* entries of the descriptor table */
	u32 op_count;
	u32 op_size;	      /* bytes of all ops */
	i32 socket;	      /* descriptor of the handshake socket */
};

struct plan_descriptor {
	u32 slot;
	i32 fd;
};

enum op_code {
#define OP(function, name, signature) OP_##function,
#include "ops.def"
#undef OP
	OP_COUNT
};

struct attributes {
	u64 set, clear;		  /* of the mount itself, MOUNT_ATTR_* */
	u64 rset, rclear;	  /* of the mount and all below it */
	u64 propagation, rpropagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: leave */
};

struct argument {
	u64 number;	  /* u */
	const char *data; /* s, l, b */
	u32 size;	  /* s: without the NUL; l, b: all bytes */
	u32 count;	  /* l: strings */
};

struct op {
	u32 code;
	struct argument arg[PLAN_MAX_ARGS];
	struct attributes attributes;
};

struct plan {
	struct plan_header header;
	const u8 *descriptors;
	const u8 *ops;
	const char *data;
	u32 data_size;
};

/* Checks every byte that will be used. Returns 0 or -EINVAL; *reason then says what is wrong. */
int plan_open(struct plan *plan, const u8 *bytes, size_t size, u64 table_hash, const char **reason);

/* Reads the op at *offset and moves *offset behind it. Returns 0, or -EINVAL for a malformed op. */
int plan_next(const struct plan *plan, u32 *offset, struct op *op);

void plan_descriptor_at(const struct plan *plan, u32 index, struct plan_descriptor *out);

#endif
