/* What confines the process from here on: the labels of security modules, and the system call filter. */
#include "init.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

static int read_self(struct init *init, const struct op *op, char *buffer, size_t size)
{
	int procfs = slot_fd(init, op->arg[0].number);
	char path[PATH_MAX];
	int fd = procfs < 0 ? procfs : name_self(procfs, op->arg[1].data, path);
	long got;

	if (fd == 0)
		fd = open_beneath(procfs, path, O_RDONLY);
	if (fd < 0)
		return failed(init, "open", fd);
	got = sys_read(fd, buffer, size);
	sys_close(fd);
	return failed(init, "read", got);
}

/* What the kernel puts behind a label: nothing, a NUL, a newline, or the mode in parentheses. */
static bool ends_label(const char *rest, size_t size)
{
	return size == 0 || rest[0] == '\0' || rest[0] == '\n' || (size > 1 && rest[0] == ' ' && rest[1] == '(');
}

/* A label that was written must be the one that is in force: anything else would confine the container differently. */
int op_check_self(struct init *init, const struct op *op)
{
	char buffer[4096];
	const struct argument *wanted = &op->arg[2];
	int size = read_self(init, op, buffer, sizeof buffer);

	if (size < 0)
		return size;
	if ((u32)size < wanted->size || memcmp(buffer, wanted->data, wanted->size) != 0 ||
	    !ends_label(buffer + wanted->size, (u32)size - wanted->size))
		return failed(init, "the label is not the one that was written", -EPERM);
	return 0;
}

/* From the next system call on the filter decides. What init still calls after this is in docs/reference/config.md. */
int op_seccomp(struct init *init, const struct op *op)
{
	struct sock_fprog program = {
		.len = (unsigned short)(op->arg[1].size / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)op->arg[1].data,
	};
	u32 flags = (u32)op->arg[0].number;
	long result = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);

	if (result < 0)
		return failed(init, "load the filter", result);
	/* on what comes back the kernel asks an agent, which Python hands it to (seccomp_unotify(2)) */
	return flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? message_offer(init, (int)result) : 0;
}
