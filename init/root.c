/* The root: attached, filled with directories, links and devices, made the process's own, and closed off. */
#include "init.h"

#include <linux/magic.h>

#define MNT_DETACH 2 /* sys/mount.h is libc's */

static long change_propagation(int fd, u64 propagation, u32 flags)
{
	struct mount_attr attr = { .propagation = propagation };

	return sys_mount_setattr(fd, flags, &attr);
}

static int open_path(const char *path, int flags)
{
	return (int)sys_openat(AT_FDCWD, path, O_PATH | O_CLOEXEC | flags, 0);
}

/* The whole of the copied mount namespace: what happens here must not reach the host. */
int op_propagation(struct init *init, const struct op *op)
{
	int top = open_path("/", O_DIRECTORY);
	long result;

	(void)init;
	if (top < 0)
		return top;
	result = change_propagation(top, op->arg[0].number, AT_RECURSIVE);
	sys_close(top);
	return (int)result;
}

int op_attach_root(struct init *init, const struct op *op)
{
	int tree = slot_fd(init, op->arg[0].number);

	if (tree < 0)
		return tree;
	init->root = (int)sys_fcntl(tree, F_DUPFD_CLOEXEC, 3);
	if (init->root < 0)
		return init->root;
	return failed(init, "move_mount", attach_to(tree, AT_FDCWD));
}

/* Without a mount namespace of its own the container's root is just a directory. */
int op_use_root(struct init *init, const struct op *op)
{
	(void)op;
	init->root = open_path(".", O_DIRECTORY);
	return init->root < 0 ? init->root : 0;
}

int op_root_attributes(struct init *init, const struct op *op)
{
	return set_attributes(init->root, &op->attributes);
}

int op_make_directory(struct init *init, const struct op *op)
{
	int fd = path_make(init, op->arg[0].data, PATH_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	sys_close(fd);
	return 0;
}

#define SYMLINK_IF_TARGET 1u /* only when what it points to is there */
#define SYMLINK_REPLACE 2u   /* take away what has its name */
#define SYMLINK_TRY 4u	     /* do without where the file system cannot be written to */

int op_symlink(struct init *init, const struct op *op)
{
	u64 flags = op->arg[2].number;
	char name[NAME_MAX + 1];
	int directory, target;
	long result;

	if (flags & SYMLINK_IF_TARGET) {
		target = path_open(init, op->arg[0].data, O_PATH, 0);
		/* ELOOP: a link of procfs itself, such as /proc/self/fd/0 */
		if (target == -ENOENT)
			return 0;
		if (target >= 0)
			sys_close(target);
	}
	directory = path_parent(init, op->arg[1].data, name);
	if (directory == -EROFS && flags & SYMLINK_TRY)
		return 0;
	if (directory < 0)
		return failed(init, "open the directory", directory);
	result = flags & SYMLINK_REPLACE ? sys_unlinkat(directory, name, 0) : 0;
	if (result == 0 || result == -ENOENT)
		result = sys_symlinkat(op->arg[0].data, directory, name);
	sys_close(directory);
	if (result == -EEXIST || (result == -EROFS && flags & SYMLINK_TRY))
		return 0;
	return (int)result;
}

static u64 device_number(u64 major, u64 minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffULL) << 12);
}

/* What stands there must be the device that was asked for, made by us or not. Returns a descriptor of it. */
static int open_device(struct init *init, int directory, const char *name, u32 type, u32 major, u32 minor)
{
	int fd = (int)sys_openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	struct statx status;
	int result;

	if (fd < 0)
		return failed(init, "open", fd);
	result = (int)sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
	if (result == 0 && ((status.stx_mode & S_IFMT) != type ||
			    (type != S_IFIFO && (status.stx_rdev_major != major || status.stx_rdev_minor != minor))))
		result = failed(init, "there is another file of that name", -EEXIST);
	if (result == 0)
		return fd;
	sys_close(fd);
	return result;
}

/* Given away is what has been looked at: by its name it could be a link to any file of the same file system by now. */
int op_device(struct init *init, const struct op *op)
{
	u32 type = (u32)op->arg[1].number, mode = (u32)op->arg[2].number;
	u32 major = (u32)op->arg[3].number, minor = (u32)op->arg[4].number;
	char name[NAME_MAX + 1];
	int directory = path_parent(init, op->arg[0].data, name);
	int device;
	long made, result = 0;

	if (directory < 0)
		return failed(init, "open the directory", directory);
	made = sys_mknodat(directory, name, type | mode, device_number(major, minor));
	device = made < 0 && made != -EEXIST ? failed(init, "mknod", made)
					     : open_device(init, directory, name, type, major, minor);
	sys_close(directory);
	if (device < 0)
		return device;
	if (made == 0)
		result = sys_fchownat(device, "", (u32)op->arg[5].number, (u32)op->arg[6].number, AT_EMPTY_PATH);
	sys_close(device);
	return failed(init, "chown", result);
}

/* The host's /dev/null, by its device number and not by its name (CVE-2025-31133). */
int op_find_null(struct init *init, const struct op *op)
{
	int fd = open_path("/dev/null", O_NOFOLLOW);
	struct statx status;

	if (fd < 0)
		return fd;
	if (sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) < 0 || !S_ISCHR(status.stx_mode) ||
	    status.stx_rdev_major != 1 || status.stx_rdev_minor != 3) {
		sys_close(fd);
		return failed(init, "/dev/null is not the null device", -ENODEV);
	}
	return slot_store(init, op->arg[0].number, fd);
}

/*
 * The old root ends up mounted over the new one, still reachable by whoever has a descriptor of it, and by no path;
 * detach-old-root takes it away. Until then masks can still be cloned from the host's /dev/null.
 */
int op_pivot_root(struct init *init, const struct op *op)
{
	int old = open_path("/", O_DIRECTORY);
	int result;

	(void)op;
	if (old < 0)
		return old;
	result = failed(init, "chdir", sys_fchdir(init->root));
	if (result == 0)
		result = failed(init, "pivot_root", sys_pivot_root(".", "."));
	if (result == 0)
		return slot_store(init, PLAN_OLD_ROOT, old);
	sys_close(old);
	return result;
}

int op_detach_old_root(struct init *init, const struct op *op)
{
	int old = slot_fd(init, PLAN_OLD_ROOT);
	int result;

	(void)op;
	if (old < 0)
		return old;
	result = failed(init, "chdir", sys_fchdir(old));
	if (result == 0) /* nothing of the detaching may travel to the host */
		result = failed(init, "make the old root a slave", change_propagation(old, MS_SLAVE, AT_RECURSIVE));
	if (result == 0)
		result = failed(init, "umount", sys_umount2(".", MNT_DETACH));
	slot_close(init, PLAN_OLD_ROOT);
	return result == 0 ? (int)sys_chdir("/") : result;
}

static long cover(const char *path)
{
	int context = (int)sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	long mount, result;

	if (context < 0)
		return context;
	result = sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mount = result < 0 ? result : sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	sys_close(context);
	if (mount < 0)
		return mount;
	result = sys_move_mount((int)mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
	sys_close((int)mount);
	return result;
}

/*
 * --no-pivot, for a host whose root is an initramfs: the container's root is moved over the host's. The host's procfs
 * and sysfs stay in the mount namespace then, and would let the container mount its own without any masks; so they are
 * unmounted or covered first.
 */
int op_move_root(struct init *init, const struct op *op)
{
	const char *path = op->arg[0].data;
	long result;

	for (u32 i = 0; i < op->arg[0].count; i++) {
		result = sys_umount2(path, MNT_DETACH);
		if (result == -EINVAL || result == -EPERM)
			result = cover(path);
		if (result < 0 && result != -ENOENT)
			return failed(init, path, result);
		path += strlen(path) + 1;
	}
	result = sys_move_mount(init->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	if (result < 0)
		return failed(init, "move_mount", result);
	return op_change_root(init, op);
}

int op_change_root(struct init *init, const struct op *op)
{
	int result = failed(init, "chdir", sys_fchdir(init->root));

	(void)op;
	return result < 0 ? result : failed(init, "chroot", sys_chroot("."));
}

static int empty_directory(void)
{
	int context = (int)sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	long result;

	if (context < 0)
		return context;
	result = sys_fsconfig(context, FSCONFIG_SET_STRING, "nr_blocks", "1", 0);
	if (result == 0)
		result = sys_fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", "1", 0);
	if (result == 0)
		result = sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (result == 0)
		result = sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	sys_close(context);
	return (int)result;
}

/* A path that is not there needs no mask. Anything else that goes wrong leaves a hole, and is an error. */
int op_mask_path(struct init *init, const struct op *op)
{
	int null = slot_fd(init, op->arg[0].number);
	int target = path_covered(init, op->arg[1].data);
	struct statx status;
	int mask, result;

	if (target == -ENOENT || null < 0)
		return null < 0 ? null : 0;
	if (target < 0)
		return failed(init, "open", target);
	result = (int)sys_statx(target, "", AT_EMPTY_PATH, STATX_TYPE, &status);
	if (result == 0) {
		if (S_ISDIR(status.stx_mode))
			mask = empty_directory();
		else
			mask = (int)sys_open_tree(null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		result = mask < 0 ? failed(init, "make the mask", mask) : failed(init, "move_mount", attach_to(mask, target));
		if (mask >= 0)
			sys_close(mask);
	}
	sys_close(target);
	return result;
}

int op_readonly_path(struct init *init, const struct op *op)
{
	struct attributes readonly = { .rset = MOUNT_ATTR_RDONLY };
	int target = path_covered(init, op->arg[0].data);
	int tree, result;

	if (target == -ENOENT)
		return 0;
	if (target < 0)
		return failed(init, "open", target);
	tree = (int)sys_open_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		result = failed(init, "open_tree", tree);
	else
		result = failed(init, "mount_setattr", set_attributes(tree, &readonly));
	if (result == 0)
		result = failed(init, "move_mount", attach_to(tree, target));
	if (tree >= 0)
		sys_close(tree);
	sys_close(target);
	return result;
}
