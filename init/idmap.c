/* Id-mapped mounts: a user namespace that nobody lives in, for its maps (mount_setattr(2), MOUNT_ATTR_IDMAP). */
#include "init.h"

#include <asm/signal.h>
#include <linux/nsfs.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#define IDMAP_RECURSIVE 1u

static _Noreturn void stay(void)
{
	sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	for (;;)
		sys_ppoll(NULL, 0, NULL);
}

static void name_file(struct text *path, u64 pid, const char *file)
{
	text_number(path, pid);
	text_string(path, "/");
	text_string(path, file);
}

static int write_map(int procfs, u64 pid, const char *file, const struct argument *map)
{
	char buffer[64];
	struct text path;

	text_start(&path, buffer, sizeof buffer);
	name_file(&path, pid, file);
	return write_value(procfs, path.data, map->data, map->size);
}

/* The link to a namespace is one of procfs's own, and this procfs is ours alone: so it may be followed here. */
static int open_user_namespace(int procfs, u64 pid)
{
	char buffer[64];
	struct text path;

	text_start(&path, buffer, sizeof buffer);
	name_file(&path, pid, "ns/user");
	return (int)sys_openat(procfs, path.data, O_RDONLY | O_CLOEXEC, 0);
}

/* The namespace lives on in its descriptor; the process that it was made for is needed only to be given the maps. */
int op_user_namespace(struct init *init, const struct op *op)
{
	int procfs = slot_fd(init, op->arg[1].number);
	int pidfd = -1, result, fd = -1;
	char info[128];
	long pid;

	if (procfs < 0)
		return procfs;
	/* without memory of its own: it only waits */
	pid = sys_clone(CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD, &pidfd);
	if (pid == 0)
		stay();
	if (pid < 0)
		return failed(init, "clone", pid);
	result = failed(init, "write gid_map", write_map(procfs, (u64)pid, "gid_map", &op->arg[3]));
	if (result == 0)
		result = failed(init, "write uid_map", write_map(procfs, (u64)pid, "uid_map", &op->arg[2]));
	if (result == 0) {
		fd = open_user_namespace(procfs, (u64)pid);
		result = failed(init, "open the namespace", fd);
	}
	sys_kill((int)pid, SIGKILL);
	while (sys_waitid(P_PIDFD, pidfd, info, WEXITED) == -EINTR)
		continue;
	sys_close(pidfd);
	return result < 0 ? result : slot_store(init, op->arg[0].number, fd);
}

int map_ids(int mount, int user_namespace, bool recursive)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (u64)user_namespace };

	return (int)sys_mount_setattr(mount, recursive ? AT_RECURSIVE : 0, &attr);
}

int op_idmap(struct init *init, const struct op *op)
{
	int mount = slot_fd(init, op->arg[0].number);
	int user_namespace = slot_fd(init, op->arg[1].number);

	if (mount < 0 || user_namespace < 0)
		return -EBADF;
	return failed(init, "mount_setattr", map_ids(mount, user_namespace, op->arg[2].number & IDMAP_RECURSIVE));
}
