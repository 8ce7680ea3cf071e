/*
 * Fuzz target: the decoder of plans, on any bytes. What it lets through is used as the ops use it: every number is read,
 * every string walked to its NUL and parsed, every list made the vector that execve would get.
 */
#include "hosted.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile u64 sum; /* so that no read is left out for want of a reader */

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* The same as text_parse(), by other means: as long a number as there is, in 128 bits. */
static bool parse(const char *text, size_t size, u64 limit, u64 *out)
{
	unsigned __int128 value = 0;

	for (size_t i = 0; i < size; i++) {
		if (strchr("0123456789", text[i]) == NULL || text[i] == '\0')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
		if (value > limit)
			return false;
	}
	*out = (u64)value;
	return size > 0;
}

static void use_number(const char *text, size_t size, u64 limit)
{
	u64 wanted = 0, got = 0;

	require(parse(text, size, limit, &wanted) == text_parse(text, size, limit, &got) && wanted == got);
}

/* A buffer that most things do not fit into: what is cut is cut in the right place. */
static void use_text(const char *data, size_t size)
{
	char *buffer = malloc(48);
	struct text text;
	size_t kept = size < 47 ? size : 47;

	require(buffer != NULL);
	text_start(&text, buffer, 48);
	text_add(&text, data, size);
	require(text.used == kept && text.cut == (size > 47) && text.data[kept] == '\0' && memcmp(buffer, data, kept) == 0);
	text_number(&text, size);
	require(text.used <= 47 && text.data[text.used] == '\0');
	free(buffer);
}

static void use_bytes(const struct argument *arg)
{
	for (u32 i = 0; i < arg->size; i++)
		sum += (u8)arg->data[i];
	require(arg->data[arg->size] == '\0');
}

static void use_list(const struct argument *arg)
{
	static const char extra[] = "HOME=/";
	const char *const *vector = list_vector(arg, NULL);
	const char *const *longer = list_vector(arg, extra);
	const char *next = arg->data;

	require(vector != NULL && longer != NULL);
	for (u32 i = 0; i < arg->count; i++) {
		require(vector[i] == next && longer[i] == next && next < arg->data + arg->size);
		use_text(next, strlen(next));
		next += strlen(next) + 1;
	}
	require(next == arg->data + arg->size && vector[arg->count] == NULL);
	require(longer[arg->count] == extra && longer[arg->count + 1] == NULL);
	free((void *)(uintptr_t)vector);
	free((void *)(uintptr_t)longer);
}

static void use_attributes(const struct attributes *attributes)
{
	sum += attributes->set + attributes->clear + attributes->rset + attributes->rclear + attributes->propagation +
	       attributes->rpropagation;
}

static void use_argument(char letter, const struct op *op, u32 index, u64 *limit)
{
	const struct argument *arg = &op->arg[index];

	switch (letter) {
	case 'u':
		sum += arg->number;
		*limit = arg->number;
		break;
	case 's':
		use_bytes(arg);
		require(strlen(arg->data) == arg->size);
		use_number(arg->data, arg->size, *limit);
		use_number(arg->data, arg->size, 0xffffffff);
		use_text(arg->data, arg->size);
		break;
	case 'b':
		use_bytes(arg);
		break;
	case 'l':
		use_bytes(arg);
		use_list(arg);
		break;
	case 'a':
		use_attributes(&op->attributes);
		break;
	default:
		abort();
	}
}

static void use_descriptors(const struct plan *plan)
{
	struct plan_descriptor entry;

	for (u32 i = 0; i < plan->header.descriptor_count; i++) {
		plan_descriptor_at(plan, i, &entry);
		require(entry.slot > 0 && entry.slot < PLAN_OLD_ROOT && entry.fd > 2);
	}
}

/* What plan_open() has accepted needs no second look: each op can be read, and together they fill their area. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *reason;
	struct plan plan;
	struct op op;
	u32 offset = 0;
	u64 limit = 0;

	if (plan_open(&plan, data, size, FUZZ_TABLE_HASH, &reason) < 0) {
		require(reason != NULL && strlen(reason) > 0);
		return 0;
	}
	require(plan.data + plan.data_size == (const char *)data + size);
	use_descriptors(&plan);
	for (u32 i = 0; i < plan.header.op_count; i++) {
		const char *signature;

		require(plan_next(&plan, &offset, &op) == 0 && op.code < OP_COUNT);
		signature = fuzz_signatures[op.code];
		for (u32 at = 0; signature[at] != '\0'; at++)
			use_argument(signature[at], &op, at, &limit);
	}
	require(offset == plan.header.op_size);
	return 0;
}

#ifdef LIBFUZZER

/*
 * Of what chance makes nearly all has a wrong magic number or size, and would test no more than the first lines. So the
 * header is set right again, most of the time; the ops and the data stay as chance has it.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct plan_header header;

	size = LLVMFuzzerMutate(data, size, max_size);
	if (size < sizeof header || seed % 16 == 0)
		return size;
	memcpy(&header, data, sizeof header);
	header.magic = PLAN_MAGIC;
	header.table_hash = FUZZ_TABLE_HASH;
	header.size = (u32)size;
	header.descriptor_count %= 16;
	if (header.descriptor_count * sizeof(struct plan_descriptor) > size - sizeof header)
		header.descriptor_count = 0;
	if (header.op_size > size - sizeof header - header.descriptor_count * sizeof(struct plan_descriptor))
		header.op_size = seed % (u32)(size - sizeof header + 1);
	memcpy(data, &header, sizeof header);
	return size;
}

#endif
