/* The decoder of the plan. Pure: no system call, no global, so that it can be fuzzed as it is. */
#include "plan.h"
#include "text.h"

/* Arrays and not pointers, which would have to be relocated: nobody does that for init. */
static const char signatures[OP_COUNT][PLAN_MAX_ARGS + 1] = {
#define OP(function, name, signature) signature,
#include "ops.def"
#undef OP
};
#define OP(function, name, signature) \
	_Static_assert(sizeof signature <= PLAN_MAX_ARGS + 1, name " has too many arguments");
#include "ops.def"
#undef OP

/* Takes `size` bytes from the ops area. */
static bool take(const struct plan *plan, u32 *offset, void *out, u32 size)
{
	if (size > plan->header.op_size || *offset > plan->header.op_size - size)
		return false;
	memcpy(out, plan->ops + *offset, size);
	*offset += size;
	return true;
}

/* A range of the data area, followed by a NUL that belongs to no other value. */
static bool take_range(const struct plan *plan, u32 *offset, struct argument *arg)
{
	u32 range[2];

	if (!take(plan, offset, range, sizeof range))
		return false;
	if (range[0] >= plan->data_size || range[1] >= plan->data_size - range[0])
		return false;
	arg->data = plan->data + range[0];
	arg->size = range[1];
	return arg->data[arg->size] == '\0';
}

static bool take_string(const struct plan *plan, u32 *offset, struct argument *arg)
{
	return take_range(plan, offset, arg) && memchr(arg->data, '\0', arg->size) == NULL;
}

static bool take_list(const struct plan *plan, u32 *offset, struct argument *arg)
{
	u32 strings = 0;

	if (!take_range(plan, offset, arg) || !take(plan, offset, &arg->count, sizeof arg->count))
		return false;
	for (u32 i = 0; i < arg->size; i++)
		strings += arg->data[i] == '\0';
	return strings == arg->count && (arg->size == 0 || arg->data[arg->size - 1] == '\0');
}

static bool take_argument(const struct plan *plan, u32 *offset, char letter, struct op *op, u32 index)
{
	struct argument *arg = &op->arg[index];

	switch (letter) {
	case 'u':
		return take(plan, offset, &arg->number, sizeof arg->number);
	case 's':
		return take_string(plan, offset, arg);
	case 'b':
		return take_range(plan, offset, arg);
	case 'l':
		return take_list(plan, offset, arg);
	case 'a':
		return take(plan, offset, &op->attributes, sizeof op->attributes);
	default:
		return false;
	}
}

int plan_next(const struct plan *plan, u32 *offset, struct op *op)
{
	const char *signature;

	if (!take(plan, offset, &op->code, sizeof op->code))
		return -EINVAL;
	if (op->code >= OP_COUNT)
		return -EINVAL;
	signature = signatures[op->code];
	for (u32 i = 0; signature[i] != '\0'; i++)
		if (!take_argument(plan, offset, signature[i], op, i))
			return -EINVAL;
	return 0;
}

void plan_descriptor_at(const struct plan *plan, u32 index, struct plan_descriptor *out)
{
	memcpy(out, plan->descriptors + index * sizeof *out, sizeof *out);
}

static const char *check_header(const struct plan_header *header, size_t size, u64 table_hash)
{
	if (header->magic != PLAN_MAGIC)
		return "not a plan";
	if (header->table_hash != table_hash)
		return "the plan was made for another version of init";
	if (header->size != size)
		return "wrong size";
	if (header->op_count > PLAN_MAX_OPS || header->descriptor_count > PLAN_MAX_SLOTS)
		return "too many ops or descriptors";
	if (header->op_size > size - sizeof *header ||
	    header->descriptor_count * sizeof(struct plan_descriptor) > size - sizeof *header - header->op_size)
		return "areas outside the plan";
	return NULL;
}

static const char *check_descriptors(const struct plan *plan)
{
	struct plan_descriptor entry;

	for (u32 i = 0; i < plan->header.descriptor_count; i++) {
		plan_descriptor_at(plan, i, &entry);
		if (entry.slot == 0 || entry.slot >= PLAN_OLD_ROOT || entry.fd < 3)
			return "bad descriptor table";
	}
	return NULL;
}

static const char *check_ops(const struct plan *plan)
{
	u32 offset = 0;
	struct op op;

	for (u32 i = 0; i < plan->header.op_count; i++)
		if (plan_next(plan, &offset, &op) < 0)
			return "malformed op";
	return offset == plan->header.op_size ? NULL : "bytes behind the last op";
}

int plan_open(struct plan *plan, const u8 *bytes, size_t size, u64 table_hash, const char **reason)
{
	size_t descriptor_size;

	*reason = "wrong size";
	if (size < sizeof plan->header || size > PLAN_MAX_SIZE)
		return -EINVAL;
	memcpy(&plan->header, bytes, sizeof plan->header);
	*reason = check_header(&plan->header, size, table_hash);
	if (*reason != NULL)
		return -EINVAL;
	descriptor_size = plan->header.descriptor_count * sizeof(struct plan_descriptor);
	plan->descriptors = bytes + sizeof plan->header;
	plan->ops = plan->descriptors + descriptor_size;
	plan->data = (const char *)plan->ops + plan->header.op_size;
	plan->data_size = (u32)(size - sizeof plan->header - descriptor_size - plan->header.op_size);
	*reason = check_descriptors(plan);
	if (*reason == NULL)
		*reason = check_ops(plan);
	return *reason == NULL ? 0 : -EINVAL;
}
