/*
 * init: carries out the init lane of a plan, one op after the other.
 *
 *     init PLAN EXE
 *
 * PLAN and EXE are descriptors of sealed memfds: the plan, and this program. It starts on the host as Python's child;
 * at the op `clone` the child that the container begins with goes on, and the process that cloned it ends. It reads no
 * config, no environment and no file that the plan does not name, and decides nothing.
 */
#include "init.h"

#include <linux/close_range.h>
#include <linux/mman.h>
#include <asm/signal.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#define EXIT_BAD_PLAN 125

#ifndef TABLE_HASH
#error "build with init/build.sh, which computes the hash of ops.def"
#endif

static struct init state;

static int run_op(struct init *init, const struct op *op)
{
	switch (op->code) {
#define OP(function, name, signature) \
	case OP_##function:           \
		return op_##function(init, op);
#include "ops.def"
#undef OP
	default:
		return -ENOSYS; /* plan_open() lets no such op through */
	}
}

/* --debug and the fault tests see every op before it runs, and can stop there. */
static int step(struct init *init)
{
	int result;

	if (!(init->plan.header.flags & PLAN_STEP) || init->socket < 0)
		return 0;
	result = message_send(init, MESSAGE_STEP, 0);
	return result < 0 ? result : message_wait(init);
}

static _Noreturn void run_plan(struct init *init)
{
	u32 offset = 0;
	struct op op;
	int result = 0;

	for (init->index = 0; init->index < init->plan.header.op_count && result >= 0; init->index++) {
		text_start(&init->detail, init->detail_buffer, sizeof init->detail_buffer);
		result = plan_next(&init->plan, &offset, &op);
		if (result >= 0)
			result = step(init);
		if (result >= 0)
			result = run_op(init, &op);
		if (result < 0)
			message_fail(init, -result);
	}
	sys_exit_group(EXIT_BAD_PLAN); /* a plan ends in execute, which does not return */
}

static _Noreturn void reject(const char *reason)
{
	char buffer[256];
	struct text text;

	text_start(&text, buffer, sizeof buffer);
	text_string(&text, "pyruntime-init: ");
	text_string(&text, reason);
	text_string(&text, "\n");
	(void)sys_write(2, buffer, text.used);
	sys_exit_group(EXIT_BAD_PLAN);
}

/* Whoever can write to the plan or to the program could change what runs with our rights (CVE-2019-5736). */
static bool is_sealed(int fd)
{
	const long all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	long seals = sys_fcntl(fd, F_GET_SEALS, 0);

	return seals >= 0 && (seals & all) == all;
}

static int descriptor_argument(const char *text)
{
	u64 number;

	return text != NULL && text_parse(text, strlen(text), 1u << 20, &number) ? (int)number : -1;
}

static void load_plan(struct init *init, int fd)
{
	struct statx status;
	const char *reason;
	struct plan_descriptor entry;
	long address;

	if (sys_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) < 0 || status.stx_size == 0)
		reject("the plan cannot be read");
	address = sys_mmap(status.stx_size, PROT_READ, MAP_PRIVATE, fd);
	if (address < 0 && address > -4096)
		reject("the plan cannot be mapped");
	if (plan_open(&init->plan, (const u8 *)(uintptr_t)address, status.stx_size, TABLE_HASH, &reason) < 0)
		reject(reason);
	init->bytes = (const void *)(uintptr_t)address;
	init->size = status.stx_size;
	init->socket = init->plan.header.socket;
	for (u32 i = 0; i < init->plan.header.descriptor_count; i++) {
		plan_descriptor_at(&init->plan, i, &entry);
		if (slot_store(init, entry.slot, entry.fd) < 0)
			reject("a slot is given twice");
	}
	sys_close(fd);
}

/* A clean start: Python ignores SIGPIPE and SIGXFSZ, and the caller may ignore or block any signal. */
static void reset_process(void)
{
	u64 none = 0;
	u64 by_default[4] = { 0 }; /* struct sigaction with SIG_DFL */

	for (int signal = 1; signal <= 64; signal++)
		sys_rt_sigaction(signal, by_default, NULL);
	sys_rt_sigprocmask(SIG_SETMASK, &none);
	sys_prctl(PR_SET_DUMPABLE, 0, 0, 0);
	sys_umask(0); /* ops give modes in full */
}

/*
 * Each bind mount is a descriptor until it is attached, and the usual soft limit of 1024 is too low for a thousand. The
 * hard one is ours to use; the container gets back what we were given when they are closed (op_close_descriptors).
 */
static void raise_open_files(struct init *init)
{
	struct rlimit64 limit;

	if (sys_prlimit64(0, RLIMIT_NOFILE, NULL, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
		return;
	init->open_files = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (sys_prlimit64(0, RLIMIT_NOFILE, &limit, NULL) < 0)
		init->open_files = 0; /* it stays as it is */
}

_Noreturn void init_main(int argc, const char *const *argv);

_Noreturn void init_main(int argc, const char *const *argv)
{
	struct init *init = &state;
	int plan, exe;

	plan = argc == 3 ? descriptor_argument(argv[1]) : -1;
	exe = argc == 3 ? descriptor_argument(argv[2]) : -1;
	if (plan < 3 || exe < 3)
		reject("this program is run by pyruntime only");
	reset_process();
	raise_open_files(init);
	if (!is_sealed(plan) || !is_sealed(exe))
		reject("the plan or the program is not sealed");
	if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		reject("close_range: the kernel is older than 5.11");
	sys_close(exe);
	init->start = -1;
	init->started = -1;
	init->root = -1;
	load_plan(init, plan);
	run_plan(init);
}
