/* What the process is: its names, limits, standard streams, directory, ids and capabilities. */
#include "init.h"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#define NO_ID 0xffffffffu /* to setresuid(2) this means "leave as it is", so it never may reach it */

int op_hostname(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_sethostname(op->arg[0].data, op->arg[0].size);
}

int op_domainname(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_setdomainname(op->arg[0].data, op->arg[0].size);
}

/* keyrings(7). A kernel without keyrings has nothing to share, so nothing needs to be kept apart. */
int op_keyring(struct init *init, const struct op *op)
{
	const u32 permissions = 0x3f1b0000; /* possessor: all; user: view, read, search, link */
	long ring = sys_keyctl(KEYCTL_JOIN_SESSION_KEYRING, (uintptr_t)op->arg[0].data, 0, 0);

	if (ring == -ENOSYS)
		return 0;
	if (ring < 0)
		return failed(init, "join the session keyring", ring);
	return failed(init, "set its permissions", sys_keyctl(KEYCTL_SETPERM, (u64)ring, permissions, 0));
}

int op_limit(struct init *init, const struct op *op)
{
	struct rlimit64 limit = { .rlim_cur = op->arg[1].number, .rlim_max = op->arg[2].number };

	(void)init;
	return (int)sys_prlimit64(0, (int)op->arg[0].number, &limit, NULL);
}

static bool is_null(const struct statx *status)
{
	return S_ISCHR(status->stx_mode) && status->stx_rdev_major == 1 && status->stx_rdev_minor == 3;
}

/* The host's /dev/null on a standard stream becomes the container's, if that is one (CVE-2026-88265). */
static int reopen_null(struct init *init, int stream)
{
	struct statx status;
	int found = path_open(init, "/dev/null", O_PATH, 0);
	int fd, result = 0;

	if (found < 0)
		return 0; /* a root without it keeps the host's */
	if (sys_statx(found, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 && is_null(&status)) {
		fd = path_open(init, "/dev/null", O_RDWR | O_NOCTTY, 0);
		if (fd >= 0 && sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 && is_null(&status))
			result = (int)sys_dup3(fd, stream, 0);
		if (fd >= 0)
			sys_close(fd);
	}
	sys_close(found);
	return result < 0 ? result : 0;
}

/* Pipes, sockets and terminals are given to the user, so that /dev/stdout can be opened; files are not ours to give. */
int op_stdio(struct init *init, const struct op *op)
{
	u32 uid = (u32)op->arg[0].number;
	struct statx status;
	int result = 0;

	for (int stream = 0; stream < 3 && result == 0; stream++) {
		result = (int)sys_statx(stream, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
		if (result < 0)
			return failed(init, "stat a standard stream", result);
		if (is_null(&status)) {
			result = reopen_null(init, stream);
		} else if (status.stx_uid != uid && !S_ISREG(status.stx_mode) && !S_ISDIR(status.stx_mode) &&
			   !S_ISBLK(status.stx_mode)) {
			result = (int)sys_fchownat(stream, "", uid, NO_ID, AT_EMPTY_PATH);
			/* an unmapped owner or a read-only file system: it stays whose it is */
			if (result == -EPERM || result == -EINVAL || result == -EROFS)
				result = 0;
		}
	}
	return result;
}

#define DIRECTORY_TRY 1u /* with root's rights, before the change of ids: the user may not be allowed to go there */

int op_working_directory(struct init *init, const struct op *op)
{
	long result = sys_chdir(op->arg[0].data);
	char path[PATH_MAX];

	if (result == 0)
		init->changed_directory = true;
	if (op->arg[1].number & DIRECTORY_TRY)
		return 0;
	if (!init->changed_directory)
		return failed(init, "chdir", result);
	/* outside the root the kernel's answer does not start with a slash (CVE-2024-21626) */
	result = sys_getcwd(path, sizeof path);
	if (result < 0 || path[0] != '/')
		return failed(init, "the current directory lies outside the container", -ENOENT);
	return 0;
}

int op_bounding_set(struct init *init, const struct op *op)
{
	long result = 0;

	(void)init;
	for (u32 capability = 0; capability < 64 && result >= 0; capability++) {
		if (op->arg[0].number >> capability & 1)
			continue;
		result = sys_prctl(PR_CAPBSET_READ, capability, 0, 0);
		if (result == -EINVAL)
			return 0; /* behind the last one this kernel knows */
		if (result == 1)
			result = sys_prctl(PR_CAPBSET_DROP, capability, 0, 0);
	}
	return result < 0 ? (int)result : 0;
}

int op_groups(struct init *init, const struct op *op)
{
	u32 groups[256];
	u32 count = op->arg[0].size / sizeof groups[0];

	if (count > sizeof groups / sizeof groups[0])
		return failed(init, "more than 256 groups", -EINVAL);
	memcpy(groups, op->arg[0].data, count * sizeof groups[0]);
	return (int)sys_setgroups(count, groups);
}

/* Changes the ids, keeps the permitted capabilities for the op that sets them, and reads back what came of it. */
int op_identity(struct init *init, const struct op *op)
{
	u32 uid = (u32)op->arg[0].number, gid = (u32)op->arg[1].number;
	u32 real, effective, saved;
	int result;

	if (op->arg[0].number >= NO_ID || op->arg[1].number >= NO_ID)
		return -EINVAL;
	result = failed(init, "keep capabilities", sys_prctl(PR_SET_KEEPCAPS, 1, 0, 0));
	if (result == 0)
		result = failed(init, "setresgid", sys_setresgid(gid, gid, gid));
	if (result == 0)
		result = failed(init, "setresuid", sys_setresuid(uid, uid, uid));
	if (result < 0)
		return result;
	if (sys_getresuid(&real, &effective, &saved) < 0 || real != uid || effective != uid || saved != uid)
		return failed(init, "the user id did not change", -EPERM);
	if (sys_getresgid(&real, &effective, &saved) < 0 || real != gid || effective != gid || saved != gid)
		return failed(init, "the group id did not change", -EPERM);
	result = (int)sys_prctl(PR_SET_KEEPCAPS, 0, 0, 0);
	return result == 0 ? guard() : result;
}

static long set_ambient(u64 ambient)
{
	long result = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0);

	for (u32 capability = 0; capability < 64 && result == 0; capability++)
		if (ambient >> capability & 1)
			result = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0);
	return result;
}

int op_capabilities(struct init *init, const struct op *op)
{
	u64 permitted = op->arg[0].number, effective = op->arg[1].number, inheritable = op->arg[2].number;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct wanted[2], got[2];
	int result;

	for (int half = 0; half < 2; half++) {
		wanted[half].permitted = (u32)(permitted >> (32 * half));
		wanted[half].effective = (u32)(effective >> (32 * half));
		wanted[half].inheritable = (u32)(inheritable >> (32 * half));
	}
	result = failed(init, "capset", sys_capset(&header, wanted));
	if (result == 0)
		result = failed(init, "raise the ambient set", set_ambient(op->arg[3].number));
	if (result == 0)
		result = failed(init, "capget", sys_capget(&header, got));
	if (result == 0 && memcmp(wanted, got, sizeof got) != 0)
		return failed(init, "the capabilities are not those that were set", -EPERM);
	return result;
}

int op_no_new_privileges(struct init *init, const struct op *op)
{
	(void)init;
	(void)op;
	return (int)sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0);
}

int op_umask(struct init *init, const struct op *op)
{
	(void)init;
	sys_umask((u32)op->arg[0].number);
	return 0;
}
