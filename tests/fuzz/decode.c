/*
 * Says what init makes of plans. Each comes on standard input, its size in four bytes in front; the answer is a line of
 * JSON, in which strings, lists and bytes are in hexadecimal digits.
 */
#include "hosted.h"

#include <stdio.h>
#include <string.h>

static const char *const names[OP_COUNT] = {
#define OP(function, name, signature) name,
#include "../../init/ops.def"
#undef OP
};

static void print_bytes(const char *data, size_t size)
{
	putchar('"');
	for (size_t i = 0; i < size; i++)
		printf("%02x", (unsigned char)data[i]);
	putchar('"');
}

static void print_list(const struct argument *arg)
{
	const char *const *vector = list_vector(arg, NULL);

	if (vector == NULL)
		abort();
	putchar('[');
	for (u32 i = 0; vector[i] != NULL; i++) {
		fputs(i > 0 ? "," : "", stdout);
		print_bytes(vector[i], strlen(vector[i]));
	}
	putchar(']');
	free((void *)(uintptr_t)vector);
}

static void print_argument(char letter, const struct op *op, u32 index)
{
	const struct argument *arg = &op->arg[index];
	const struct attributes *bits = &op->attributes;

	switch (letter) {
	case 'u':
		printf("%llu", (unsigned long long)arg->number);
		break;
	case 'l':
		print_list(arg);
		break;
	case 'a':
		printf("[%llu,%llu,%llu,%llu,%llu,%llu]", (unsigned long long)bits->set, (unsigned long long)bits->clear,
		       (unsigned long long)bits->rset, (unsigned long long)bits->rclear,
		       (unsigned long long)bits->propagation, (unsigned long long)bits->rpropagation);
		break;
	default:
		print_bytes(arg->data, letter == 's' ? strlen(arg->data) : arg->size);
	}
}

static void print_op(const struct op *op)
{
	const char *signature = fuzz_signatures[op->code];

	printf("[\"%s\"", names[op->code]);
	for (u32 i = 0; signature[i] != '\0'; i++) {
		putchar(',');
		print_argument(signature[i], op, i);
	}
	putchar(']');
}

static void print_plan(const struct plan *plan)
{
	struct plan_descriptor entry;
	struct op op;
	u32 offset = 0;

	printf("{\"flags\":%u,\"socket\":%d,\"descriptors\":[", plan->header.flags, plan->header.socket);
	for (u32 i = 0; i < plan->header.descriptor_count; i++) {
		plan_descriptor_at(plan, i, &entry);
		printf("%s[%u,%d]", i > 0 ? "," : "", entry.slot, entry.fd);
	}
	printf("],\"ops\":[");
	for (u32 i = 0; i < plan->header.op_count; i++) {
		if (plan_next(plan, &offset, &op) < 0)
			abort();
		fputs(i > 0 ? "," : "", stdout);
		print_op(&op);
	}
	printf("]}\n");
}

int main(void)
{
	const char *reason;
	struct plan plan;
	u32 size;

	while (fread(&size, sizeof size, 1, stdin) == 1) {
		u8 *data = malloc(size + (size == 0));

		if (data == NULL || fread(data, 1, size, stdin) != size)
			return 1;
		if (plan_open(&plan, data, size, FUZZ_TABLE_HASH, &reason) < 0)
			printf("{\"refused\":\"%s\"}\n", reason);
		else
			print_plan(&plan);
		fflush(stdout);
		free(data);
	}
	return 0;
}
