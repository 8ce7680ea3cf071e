/* Namespaces and the clone: from a process on the host to the first process of the container. */
#include "init.h"

#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <asm/signal.h>

/* A procfs of our own: nothing that anybody has mounted over parts of /proc is in it (CVE-2025-52881). */
int op_procfs(struct init *init, const struct op *op)
{
	int context = (int)sys_fsopen("proc", FSOPEN_CLOEXEC);
	int result;

	if (context < 0)
		return failed(init, "fsopen", context);
	result = (int)sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (result == 0)
		result = (int)sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	sys_close(context);
	return failed(init, "fsmount", slot_store(init, op->arg[0].number, result));
}

int write_value(int directory, const char *path, const char *value, size_t size)
{
	int fd = open_beneath(directory, path, O_WRONLY);
	long result;

	if (fd < 0)
		return fd;
	result = sys_write(fd, value, size);
	sys_close(fd);
	if (result < 0)
		return (int)result;
	return (size_t)result == size ? 0 : -EIO;
}

/* The path of /proc/<this process>/<file>; "self" is a link, which the look-up refuses, so its number is read first. */
int name_self(int procfs, const char *file, char path[PATH_MAX])
{
	char number[32];
	struct text text;
	long size = sys_readlinkat(procfs, "self", number, sizeof number);

	if (size < 0)
		return (int)size;
	text_start(&text, path, PATH_MAX);
	text_add(&text, number, (size_t)size);
	text_add(&text, "/", 1);
	text_string(&text, file);
	return 0;
}

int op_write_self(struct init *init, const struct op *op)
{
	int procfs = slot_fd(init, op->arg[0].number);
	char path[PATH_MAX];
	int result = procfs < 0 ? procfs : failed(init, "read /proc/self", name_self(procfs, op->arg[1].data, path));

	return result < 0 ? result : write_value(procfs, path, op->arg[2].data, op->arg[2].size);
}

int op_sysctl(struct init *init, const struct op *op)
{
	int procfs = slot_fd(init, op->arg[0].number);
	char path[PATH_MAX];
	struct text text;

	if (procfs < 0)
		return procfs;
	text_start(&text, path, sizeof path);
	text_string(&text, "sys/");
	text_add(&text, op->arg[1].data, op->arg[1].size);
	return write_value(procfs, path, op->arg[2].data, op->arg[2].size);
}

int op_open_namespace(struct init *init, const struct op *op)
{
	int fd = (int)sys_openat(AT_FDCWD, op->arg[2].data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	long type;

	if (fd < 0)
		return failed(init, "open", fd);
	type = is_type(fd, NSFS_MAGIC) ? sys_ioctl(fd, NS_GET_NSTYPE, NULL) : -EINVAL;
	if (type < 0 || (u64)type != op->arg[1].number) {
		sys_close(fd);
		return failed(init, "not a namespace of that type", -EINVAL);
	}
	return slot_store(init, op->arg[0].number, fd);
}

int op_join_namespace(struct init *init, const struct op *op)
{
	int fd = slot_fd(init, op->arg[0].number);
	int result = fd < 0 ? fd : (int)sys_setns(fd, op->arg[1].number);

	slot_close(init, op->arg[0].number);
	return result;
}

/*
 * Joins all namespaces of a process at once (setns(2), since Linux 5.8): no path is involved, and no number that could
 * be somebody else's by now.
 */
int op_join_process(struct init *init, const struct op *op)
{
	int pidfd = slot_fd(init, op->arg[0].number);

	return pidfd < 0 ? pidfd : (int)sys_setns(pidfd, op->arg[1].number);
}

int op_unshare(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_unshare(op->arg[0].number);
}

/* A hard limit of at least this, while we may: inside a user namespace it can only be lowered. The soft limit stays. */
int op_raise_limit(struct init *init, const struct op *op)
{
	struct rlimit64 limit;
	long result = sys_prlimit64(0, (int)op->arg[0].number, NULL, &limit);

	(void)init;
	if (result < 0 || limit.rlim_max >= op->arg[1].number)
		return (int)result;
	limit.rlim_max = op->arg[1].number;
	return (int)sys_prlimit64(0, (int)op->arg[0].number, &limit, NULL);
}

/*
 * Goes to the root directory on the host. What counts is the working directory: a clone with a new mount namespace
 * takes it along into the copy, where attach-root finds it without a path (which a mapped root might not be allowed to
 * walk).
 */
int op_enter_root(struct init *init, const struct op *op)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)sys_openat2(AT_FDCWD, op->arg[0].data, &how);
	int result;

	if (fd < 0)
		return failed(init, "open", fd);
	result = (int)sys_fchdir(fd);
	sys_close(fd);
	return failed(init, "chdir", result);
}

/*
 * Moves this process into a cgroup. On v1 "0" to `tasks` is the one move for which the kernel takes no lock of its own
 * (Linux 5.5): a thread that moves itself can neither exit nor exec meanwhile. We have no other threads.
 */
int op_enter_cgroup(struct init *init, const struct op *op)
{
	int directory = (int)sys_openat(AT_FDCWD, op->arg[0].data, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	int result;

	if (directory < 0)
		return failed(init, "open", directory);
	result = write_value(directory, op->arg[1].data, "0", 1);
	sys_close(directory);
	return failed(init, op->arg[1].data, result);
}

/* The kernel takes no more than 64 device programs on one cgroup (BPF_CGROUP_MAX_PROGS). */
struct programs {
	u32 ids[64];
	u32 count;
};

/* Finds the device programs on a cgroup itself, those of its ancestors left out. */
static int find_programs(int cgroup, struct programs *found)
{
	union bpf_attr attr;
	long result;

	memset(&attr, 0, sizeof attr);
	attr.query.target_fd = (u32)cgroup;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uintptr_t)found->ids;
	attr.query.prog_cnt = sizeof found->ids / sizeof found->ids[0];
	result = sys_bpf(BPF_PROG_QUERY, &attr, sizeof attr);
	found->count = result < 0 ? 0 : attr.query.prog_cnt;
	return (int)result;
}

static int detach_program(int cgroup, u32 id)
{
	union bpf_attr attr;
	long program, result;

	memset(&attr, 0, sizeof attr);
	attr.prog_id = id;
	program = sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof attr);
	if (program < 0)
		return (int)program;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = (u32)cgroup;
	attr.attach_bpf_fd = (u32)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	result = sys_bpf(BPF_PROG_DETACH, &attr, sizeof attr);
	sys_close((int)program);
	return (int)result;
}

/*
 * Puts a device program on the cgroup, in addition to those of its ancestors (cgroup v2; bpf(2)). A cgroup that was
 * there before may have the program of an earlier container, which goes once the new one is in force.
 */
int op_attach_devices(struct init *init, const struct op *op)
{
	int cgroup = slot_fd(init, op->arg[0].number);
	struct programs earlier;
	union bpf_attr attr;
	long program, result;

	if (cgroup < 0)
		return cgroup;
	result = find_programs(cgroup, &earlier);
	if (result < 0)
		return failed(init, "look for device programs", result);
	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)op->arg[1].data;
	attr.insn_cnt = op->arg[1].size / sizeof(struct bpf_insn);
	attr.license = (uintptr_t)"Apache-2.0";
	program = sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr);
	if (program < 0)
		return failed(init, "load the device program", program);
	memset(&attr, 0, sizeof attr);
	attr.target_fd = (u32)cgroup;
	attr.attach_bpf_fd = (u32)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	result = sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr);
	sys_close((int)program);
	if (result < 0)
		return failed(init, "attach the device program", result);
	for (u32 i = 0; i < earlier.count; i++) {
		result = detach_program(cgroup, earlier.ids[i]);
		if (result < 0)
			return failed(init, "detach an earlier device program", result);
	}
	return 0;
}

/*
 * The child goes on with the plan; it is Python's child, not ours (CLONE_PARENT), so that Python can wait for it and a
 * caller's subreaper inherits it when Python is gone. We say its pid and are done.
 */
int op_clone(struct init *init, const struct op *op)
{
	struct clone_args args = { .flags = CLONE_PARENT | op->arg[0].number };
	long pid;

	if (op->arg[1].number != 0) {
		int cgroup = slot_fd(init, op->arg[1].number);

		if (cgroup < 0)
			return cgroup;
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (u64)cgroup;
	}
	pid = sys_clone3(&args);
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		slot_close(init, op->arg[1].number);
		return 0;
	}
	sys_exit_group(message_send(init, MESSAGE_CLONED, (i32)pid) == 0 ? 0 : 1);
}

/* Until it is ready init lives no longer than Python, and nobody may look into it. Both are lost at a change of ids. */
int guard(void)
{
	long result = sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0);

	if (result == 0)
		result = sys_prctl(PR_SET_DUMPABLE, 0, 0, 0);
	return (int)result;
}

int op_session(struct init *init, const struct op *op)
{
	long result = sys_setsid();

	(void)op;
	if (result < 0)
		return failed(init, "setsid", result);
	sys_prctl(PR_SET_NAME, (uintptr_t)"pyruntime-init", 0, 0);
	return guard();
}

int op_dumpable(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_prctl(PR_SET_DUMPABLE, op->arg[0].number, 0, 0);
}

int op_barrier(struct init *init, const struct op *op)
{
	int result = message_send(init, MESSAGE_BARRIER, (i32)op->arg[0].number);

	return result < 0 ? result : message_wait(init);
}

int op_become(struct init *init, const struct op *op)
{
	u32 uid = (u32)op->arg[0].number, gid = (u32)op->arg[1].number;
	int result = failed(init, "setresgid", sys_setresgid(gid, gid, gid));

	if (result == 0)
		result = failed(init, "setresuid", sys_setresuid(uid, uid, uid));
	return result == 0 ? guard() : result;
}
