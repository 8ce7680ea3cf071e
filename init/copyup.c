/*
 * tmpcopyup: a new tmpfs starts with the content of the directory that it will cover. Everything goes by descriptor
 * and by one name at a time; no link is followed. The tree is hostile: its depth is bounded by an array, not a stack.
 */
#include "init.h"

#define MAX_DEPTH 128
#define DT_BUFFER 4096

struct directory_entry {
	u64 inode;
	i64 next;
	u16 size;
	u8 type;
	char name[];
};

struct level {
	int from, to;
	i64 resume; /* where reading goes on after a subdirectory */
	struct statx status;
};

static u64 device_number(u32 major, u32 minor)
{
	return (minor & 0xff) | ((u64)major << 8) | ((u64)(minor & ~0xffu) << 12);
}

/* `name` comes from the directory itself: one component, and never a link. */
static int open_entry(int directory, const char *name, int flags)
{
	return (int)sys_openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0);
}

static long keep_times(int directory, const char *name, const struct statx *status, int flags)
{
	struct __kernel_timespec times[2] = {
		{ .tv_sec = status->stx_atime.tv_sec, .tv_nsec = status->stx_atime.tv_nsec },
		{ .tv_sec = status->stx_mtime.tv_sec, .tv_nsec = status->stx_mtime.tv_nsec },
	};

	return sys_utimensat(directory, name, times, flags);
}

static long copy_content(int from, int to)
{
	long size;

	do
		size = sys_sendfile(to, from, NULL, 1u << 24);
	while (size > 0);
	return size;
}

static long copy_file(const struct level *level, const char *name, const struct statx *status)
{
	int from = open_entry(level->from, name, O_NONBLOCK);
	int to;
	long result;

	if (from < 0)
		return from;
	to = (int)sys_openat(level->to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	result = to < 0 ? to : copy_content(from, to);
	if (result == 0)
		result = sys_fchownat(to, "", status->stx_uid, status->stx_gid, AT_EMPTY_PATH);
	if (result == 0)
		result = sys_fchmod(to, status->stx_mode & 07777);
	if (result == 0)
		result = keep_times(level->to, name, status, AT_SYMLINK_NOFOLLOW);
	sys_close(from);
	if (to >= 0)
		sys_close(to);
	return result;
}

static long copy_link(const struct level *level, const char *name)
{
	char target[PATH_MAX];
	long size = sys_readlinkat(level->from, name, target, sizeof target - 1);

	if (size < 0)
		return size;
	target[size] = '\0';
	return sys_symlinkat(target, level->to, name);
}

/* Sockets, fifos and devices. In a user namespace devices cannot be made: they would be useless there too. */
static long copy_special(const struct level *level, const char *name, const struct statx *status)
{
	long result = sys_mknodat(level->to, name, status->stx_mode & (S_IFMT | 07777),
				  device_number(status->stx_rdev_major, status->stx_rdev_minor));

	return result == -EPERM ? 0 : result;
}

static long enter(struct level *level, struct level *next, const char *name)
{
	long result = sys_mkdirat(level->to, name, 0700);

	if (result < 0)
		return result;
	next->resume = 0;
	next->from = open_entry(level->from, name, O_DIRECTORY);
	if (next->from < 0)
		return next->from;
	next->to = open_entry(level->to, name, O_DIRECTORY);
	if (next->to < 0) {
		sys_close(next->from);
		return next->to;
	}
	return 1; /* one level down */
}

static long leave(struct level *level)
{
	long result = sys_fchownat(level->to, "", level->status.stx_uid, level->status.stx_gid, AT_EMPTY_PATH);

	if (result == 0)
		result = sys_fchmod(level->to, level->status.stx_mode & 07777);
	if (result == 0)
		result = keep_times(level->to, ".", &level->status, 0);
	sys_close(level->from);
	sys_close(level->to);
	return result;
}

/* Returns 1 when the entry is a directory that has been entered. */
static long copy_entry(struct level *level, struct level *next, const char *name)
{
	struct statx status;
	long result;

	if (text_equal(name, ".") || text_equal(name, ".."))
		return 0;
	result = sys_statx(level->from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status);
	if (result < 0)
		return result;
	if (S_ISDIR(status.stx_mode)) {
		if (next == NULL)
			return -ELOOP;
		next->status = status;
		return enter(level, next, name);
	}
	if (S_ISREG(status.stx_mode))
		return copy_file(level, name, &status);
	if (S_ISLNK(status.stx_mode))
		result = copy_link(level, name);
	else
		result = copy_special(level, name, &status);
	if (result < 0)
		return result;
	result = sys_fchownat(level->to, name, status.stx_uid, status.stx_gid, AT_SYMLINK_NOFOLLOW);
	return result == -ENOENT ? 0 : result; /* a device that could not be made */
}

/* Copies entries until the directory ends (0) or one of them is a directory (1). */
static long copy_entries(struct level *level, struct level *next)
{
	char buffer[DT_BUFFER] __attribute__((aligned(8)));
	long result = sys_lseek(level->from, level->resume, 0);

	while (result >= 0) {
		long size = sys_getdents64(level->from, buffer, sizeof buffer);

		if (size <= 0)
			return size;
		for (long at = 0; at < size;) {
			struct directory_entry *entry = (struct directory_entry *)(void *)(buffer + at);

			level->resume = entry->next;
			result = copy_entry(level, next, entry->name);
			if (result != 0)
				return result;
			at += entry->size;
		}
	}
	return result;
}

int copy_up(int from, int to)
{
	struct level levels[MAX_DEPTH];
	int depth = 0;
	long result;

	levels[0].resume = 0;
	levels[0].from = (int)sys_openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (levels[0].from < 0)
		return levels[0].from;
	levels[0].to = (int)sys_openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (levels[0].to < 0) {
		sys_close(levels[0].from);
		return levels[0].to;
	}
	for (;;) {
		result = copy_entries(&levels[depth], depth + 1 < MAX_DEPTH ? &levels[depth + 1] : NULL);
		if (result == 1)
			depth++;
		else if (result < 0 || depth == 0)
			break;
		else if ((result = leave(&levels[depth--])) < 0)
			break;
	}
	while (depth >= 0) {
		sys_close(levels[depth].from);
		sys_close(levels[depth--].to);
	}
	return (int)result;
}
