/* The last steps: find the program, wait for `start`, and become it. */
#include "init.h"

#include <asm/signal.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#define ACCESS_EXECUTE 1

static int open_regular(struct init *init, const char *path)
{
	struct statx status;
	int fd = path_open(init, path, O_PATH, 0);
	bool regular;

	if (fd < 0)
		return fd;
	regular = sys_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status) == 0 && S_ISREG(status.stx_mode);
	sys_close(fd);
	return regular ? path_open(init, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0) : -EINVAL;
}

/* HOME, when the config leaves it out, as users of runc know it: from the container's /etc/passwd, else "/". */
int op_home(struct init *init, const struct op *op)
{
	static char buffer[PATH_MAX];
	struct text home;
	int fd = open_regular(init, "/etc/passwd");

	text_start(&home, buffer, sizeof buffer);
	text_string(&home, "HOME=");
	if (fd >= 0) {
		passwd_home(fd, op->arg[0].number, &home);
		sys_close(fd);
	}
	if (home.used == strlen("HOME=") || home.cut) {
		text_start(&home, buffer, sizeof buffer);
		text_string(&home, "HOME=/");
	}
	init->home = buffer;
	return 0;
}

static int check_program(const char *path)
{
	struct statx status;
	long result = sys_statx(AT_FDCWD, path, 0, STATX_TYPE, &status);

	if (result < 0)
		return (int)result;
	if (S_ISDIR(status.stx_mode))
		return -EISDIR;
	return (int)sys_faccessat2(AT_FDCWD, path, ACCESS_EXECUTE, AT_EACCESS);
}

#define PROGRAM_NOWHERE 2u /* there is no PATH: nothing is looked for */

/* The first candidate that can be executed. Of a single one the error says why; of several, that none was found. */
int op_find_program(struct init *init, const struct op *op)
{
	const char *path = op->arg[0].data;
	int result = -ENOENT;

	for (u32 i = 0; i < op->arg[0].count && !(op->arg[1].number & PROGRAM_NOWHERE); i++) {
		result = check_program(path);
		if (result == 0) {
			init->program = path;
			return 0;
		}
		path += strlen(path) + 1;
	}
	return op->arg[1].number != 0 ? -ENOENT : result;
}

/*
 * From here on nobody is there to report to until `start` comes. Dying with Python ended in op_outlive, before it is told,
 * since it may be gone the moment it has answered; should it die without an answer the wait ends, and so does init.
 */
int op_ready(struct init *init, const struct op *op)
{
	int result = op_barrier(init, op);

	if (result < 0)
		return result;
	sys_close(init->socket);
	init->socket = -1;
	return 0;
}

/* What has been read of the plan is given back: little of it is needed again, and the wait may be for days. */
int op_outlive(struct init *init, const struct op *op)
{
	int result = failed(init, "give memory back", sys_madvise(init->bytes, init->size, MADV_DONTNEED));

	(void)op;
	return result < 0 ? result : (int)sys_prctl(PR_SET_PDEATHSIG, 0, 0, 0);
}

struct kernel_sigaction { /* struct sigaction of the kernel, not of libc */
	void (*handler)(int);
	u64 flags;
	void (*restorer)(void);
	u64 mask;
};

static void leave(int signal)
{
	sys_exit_group(128 + signal);
}

static void never_returned_to(void)
{
}

/* As pid 1 we would be immune to these, and a container that was never started could not be stopped politely. */
static void heed_signals(void)
{
	static const u8 signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct kernel_sigaction action = { .flags = SA_RESTORER };

	/* not in the initializer: a compiler may keep that in memory, where addresses would have to be relocated */
	action.handler = leave;
	action.restorer = never_returned_to;
	for (u32 i = 0; i < sizeof signals; i++)
		sys_rt_sigaction(signals[i], &action, NULL);
}

int op_wait_start(struct init *init, const struct op *op)
{
	long result;
	u8 byte;

	(void)op;
	heed_signals();
	do
		result = sys_read(init->start, &byte, 1);
	while (result == -EINTR);
	sys_close(init->start);
	init->start = -1;
	if (result < 0)
		return (int)result;
	return result == 1 ? 0 : -EPIPE;
}

int op_started(struct init *init, const struct op *op)
{
	(void)op;
	return message_send(init, MESSAGE_STARTED, 0);
}

static const char *error_text(long error)
{
	switch (-error) {
	case ENOENT:
		return "no such file or directory"; /* of a script: its interpreter */
	case EACCES:
		return "permission denied";
	case EPERM:
		return "operation not permitted";
	case ENOEXEC:
		return "exec format error";
	case E2BIG:
		return "argument list too long";
	case ENOMEM:
		return "cannot allocate memory";
	case ETXTBSY:
		return "text file busy";
	case EISDIR:
		return "is a directory";
	case ELOOP:
		return "too many levels of symbolic links";
	default:
		return NULL;
	}
}

static _Noreturn void report_failed_exec(const char *program, long error)
{
	const char *known = error_text(error);
	char buffer[PATH_MAX + 64];
	struct text text;

	text_start(&text, buffer, sizeof buffer);
	text_string(&text, "exec ");
	text_string(&text, program);
	text_string(&text, ": ");
	text_string(&text, known != NULL ? known : "errno ");
	if (known == NULL)
		text_number(&text, (u64)-error);
	text_string(&text, "\n");
	(void)sys_write(2, buffer, text.used);
	sys_exit_group(255);
}

/* The vectors are made before the filter is there, which may not let us have memory. */
int op_arguments(struct init *init, const struct op *op)
{
	init->argv = list_vector(&op->arg[0], NULL);
	init->envp = list_vector(&op->arg[1], init->home);
	return init->argv == NULL || init->envp == NULL ? -ENOMEM : 0;
}

/* Whoever still listens is told by the closing of the socket that the program runs, or else gets to hear the error. */
int op_execute(struct init *init, const struct op *op)
{
	long result = sys_execve(init->program, init->argv, init->envp);

	(void)op;
	if (init->socket < 0)
		report_failed_exec(init->program, result);
	text_string(&init->detail, init->program);
	return (int)result;
}
