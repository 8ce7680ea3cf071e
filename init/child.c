/*
 * Hooks that run in the container. They are given their state on standard input, a deadline that holds whatever they do
 * with their pipes, and no descriptor but the three. What they print is kept, up to a point, for the error message.
 */
#include "init.h"

#include <asm/signal.h>
#include <linux/close_range.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <linux/wait.h>

#define KEPT_OUTPUT 1024

struct pipes {
	int input[2];  /* the hook reads [0] */
	int output[2]; /* the hook writes [1] */
	int failure[2]; /* says why there was no program; closed by the kernel when there was */
};

struct signal_info { /* the fields of siginfo_t that waitid(2) fills in */
	int number, error, code, pad;
	int pid, uid, status;
	char rest[128 - 7 * sizeof(int)];
};

#define CODE_EXITED 1

static void close_pipes(struct pipes *pipes)
{
	int *fds[] = { &pipes->input[0],  &pipes->input[1],   &pipes->output[0],
		       &pipes->output[1], &pipes->failure[0], &pipes->failure[1] };

	for (u32 i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (*fds[i] >= 0)
			sys_close(*fds[i]);
}

static void close_end(int *fd)
{
	sys_close(*fd);
	*fd = -1;
}

static _Noreturn void become_child(const struct child *child, const struct pipes *pipes)
{
	long result;

	sys_setsid();
	sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	sys_umask(022);
	result = sys_dup3(pipes->input[0], 0, 0);
	if (result >= 0)
		result = sys_dup3(pipes->output[1], 1, 0);
	if (result >= 0)
		result = sys_dup3(pipes->output[1], 2, 0);
	if (result >= 0)
		result = sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (result >= 0)
		result = sys_execve(child->path, child->argv, child->envp);
	(void)sys_write(pipes->failure[1], &result, sizeof result);
	sys_exit_group(127);
}

static i64 now_ms(void)
{
	struct __kernel_timespec now = { 0 };

	sys_clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Writes what the pipe takes; closes it when all is written or nobody reads any more. */
static void feed(struct child *child, struct pipes *pipes, u32 *part)
{
	struct child_input *input;
	long result;

	while (*part < 3 && child->input[*part].size == 0)
		(*part)++;
	if (*part == 3) {
		close_end(&pipes->input[1]);
		return;
	}
	input = &child->input[*part];
	result = sys_write(pipes->input[1], input->data, input->size);
	if (result > 0) {
		input->data += result;
		input->size -= (size_t)result;
	} else if (result != -EAGAIN && result != -EINTR) {
		close_end(&pipes->input[1]);
	}
}

/* Returns false at the end of the output. */
static bool drain(struct text *kept, int fd)
{
	char buffer[4096];
	long size = sys_read(fd, buffer, sizeof buffer);

	if (size > 0)
		text_add(kept, buffer, (size_t)size);
	return size > 0 || size == -EAGAIN || size == -EINTR;
}

/* Returns 0 when the child has ended or its time is up. */
static long talk(struct child *child, struct pipes *pipes, int pidfd, struct text *kept, i64 deadline)
{
	u32 part = 0;
	long result;

	for (;;) {
		struct pollfd fds[3] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = pipes->output[0], .events = POLLIN },
			{ .fd = pipes->input[1], .events = POLLOUT },
		};
		i64 left = deadline - now_ms();
		struct __kernel_timespec timeout = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };

		if (deadline != 0 && left <= 0)
			return 0;
		result = sys_ppoll(fds, 3, deadline != 0 ? &timeout : NULL);
		if (result == -EINTR)
			continue;
		if (result < 0) /* a filter may not permit it */
			return result;
		if (fds[2].revents != 0)
			feed(child, pipes, &part);
		if (fds[1].revents != 0 && !drain(kept, pipes->output[0]))
			close_end(&pipes->output[0]);
		if (fds[0].revents != 0) { /* ended: what a grandchild may still print is not waited for */
			if (pipes->output[0] >= 0)
				drain(kept, pipes->output[0]);
			return 0;
		}
	}
}

static long spawn(const struct child *child, const struct pipes *pipes, int *pidfd)
{
	long pid = sys_clone(CLONE_PIDFD | SIGCHLD, pidfd);

	if (pid == 0)
		become_child(child, pipes);
	return pid;
}

static int judge(struct init *init, const struct signal_info *info, bool ended, const struct text *kept)
{
	char numbers[64];
	struct text text;

	text_start(&text, numbers, sizeof numbers);
	if (!ended)
		text_string(&text, "timed out");
	else if (info->code == CODE_EXITED && info->status == 0)
		return 0;
	else {
		text_string(&text, info->code == CODE_EXITED ? "exit status " : "signal ");
		text_number(&text, (u64)info->status);
	}
	text_string(&init->detail, numbers);
	if (kept->used > 0) {
		text_string(&init->detail, ", output: ");
		text_add(&init->detail, kept->data, kept->used);
	}
	return ended ? -ECHILD : -ETIMEDOUT;
}

static int run_with(struct init *init, struct child *child, struct pipes *pipes)
{
	char output[KEPT_OUTPUT];
	struct signal_info info = { 0 };
	struct pollfd end = { .events = POLLIN };
	struct __kernel_timespec at_once = { 0 };
	struct text kept;
	bool ended;
	int pidfd;
	long waited, error, pid = spawn(child, pipes, &pidfd);

	if (pid < 0)
		return failed(init, "clone", pid);
	close_end(&pipes->input[0]);
	close_end(&pipes->output[1]);
	close_end(&pipes->failure[1]);
	text_start(&kept, output, sizeof output);
	waited = talk(child, pipes, pidfd, &kept, child->timeout_ms != 0 ? now_ms() + (i64)child->timeout_ms : 0);
	end.fd = pidfd;
	ended = sys_ppoll(&end, 1, &at_once) == 1;
	if (!ended) {
		sys_kill((int)-pid, SIGKILL);
		sys_kill((int)pid, SIGKILL); /* it may not have come to setsid(2) */
	}
	while (sys_waitid(P_PIDFD, pidfd, &info, WEXITED) == -EINTR)
		continue;
	sys_close(pidfd);
	if (waited < 0)
		return failed(init, "wait for it", waited);
	if (sys_read(pipes->failure[0], &error, sizeof error) == (long)sizeof error) {
		text_string(&init->detail, "exec ");
		text_string(&init->detail, child->path);
		return (int)error;
	}
	return judge(init, &info, ended, &kept);
}

int child_run(struct init *init, const struct child *wanted)
{
	struct pipes pipes = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct child child = *wanted;
	long result = sys_pipe2(pipes.input, O_CLOEXEC);

	if (result == 0)
		result = sys_pipe2(pipes.output, O_CLOEXEC);
	if (result == 0)
		result = sys_pipe2(pipes.failure, O_CLOEXEC);
	if (result == 0)
		result = sys_fcntl(pipes.input[1], F_SETFL, O_NONBLOCK);
	if (result == 0)
		result = sys_fcntl(pipes.output[0], F_SETFL, O_NONBLOCK);
	/* read when the child has ended; our own other end may be open still, under a filter without close(2) */
	if (result == 0)
		result = sys_fcntl(pipes.failure[0], F_SETFL, O_NONBLOCK);
	result = result < 0 ? failed(init, "pipe", result) : run_with(init, &child, &pipes);
	close_pipes(&pipes);
	return (int)result;
}

/* The state's pid is the one the container sees, which nobody knows before the clone; so it is put in here. */
int op_hook(struct init *init, const struct op *op)
{
	char digits[24];
	struct text pid;
	struct child child = {
		.path = op->arg[0].data,
		.argv = list_vector(&op->arg[1], NULL),
		.envp = list_vector(&op->arg[2], NULL),
		.timeout_ms = op->arg[5].number,
	};

	if (child.argv == NULL || child.envp == NULL)
		return failed(init, "list its arguments", -ENOMEM);
	text_start(&pid, digits, sizeof digits);
	text_number(&pid, (u64)sys_getpid());
	child.input[0] = (struct child_input){ op->arg[3].data, op->arg[3].size };
	child.input[1] = (struct child_input){ digits, pid.used };
	child.input[2] = (struct child_input){ op->arg[4].data, op->arg[4].size };
	return child_run(init, &child);
}
