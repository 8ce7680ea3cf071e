/* Files in the container whose content comes with the plan, or from Python once the mounts are there. */
#include "init.h"

#define FILE_OVER 1u /* covers a regular file that is there, and makes none */

#define NAME_TRIES 16

struct content {
	const char *data; /* NULL: `size` bytes of `fd`, from where it is */
	size_t size;
	int fd;
};

static int write_content(int to, const struct content *content)
{
	size_t done = 0;

	while (done < content->size) {
		long size;

		if (content->data != NULL)
			size = sys_write(to, content->data + done, content->size - done);
		else
			size = sys_sendfile(to, content->fd, NULL, content->size - done);
		if (size <= 0)
			return size < 0 ? (int)size : -EIO;
		done += (size_t)size;
	}
	return 0;
}

static int fill_file(int directory, const char *name, u32 mode, const struct content *content)
{
	int fd = (int)sys_openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result;

	if (fd < 0)
		return fd;
	result = write_content(fd, content);
	if (result == 0) /* whatever the umask is */
		result = (int)sys_fchmod(fd, mode);
	sys_close(fd);
	if (result < 0)
		(void)sys_unlinkat(directory, name, 0);
	return result;
}

/* Beside what has the name, and then in its place: nobody sees half of it, and no link is followed. */
static int replace_file(int directory, const char *name, u32 mode, const struct content *content)
{
	char temporary[] = ".pyruntime-a";
	int result = -EEXIST;

	for (int i = 0; i < NAME_TRIES && result == -EEXIST; i++) {
		temporary[sizeof temporary - 2] = (char)('a' + i);
		result = fill_file(directory, temporary, mode, content);
	}
	if (result < 0)
		return result;
	result = (int)sys_renameat2(directory, temporary, directory, name, 0);
	if (result < 0)
		(void)sys_unlinkat(directory, temporary, 0);
	return result;
}

/* A mount of one file: of a file system in memory that has nothing else. */
static int file_mount(u32 mode, const struct content *content)
{
	struct attributes attributes = { .set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	int context = (int)sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	int mount, file, result;

	if (context < 0)
		return context;
	result = (int)sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mount = result < 0 ? result : (int)sys_fsmount(context, FSMOUNT_CLOEXEC, 0);
	sys_close(context);
	if (mount < 0)
		return mount;
	result = fill_file(mount, "file", mode, content);
	file = result < 0 ? result : (int)sys_open_tree(mount, "file", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	sys_close(mount);
	result = file < 0 ? file : set_attributes(file, &attributes);
	if (result < 0 && file >= 0)
		sys_close(file);
	return result < 0 ? result : file;
}

/* Where the file system cannot be written to, and over files of procfs: what is there is covered. */
static int cover_file(struct init *init, const char *path, u32 mode, const struct content *content)
{
	int target = path_open(init, path, O_PATH, 0);
	struct statx status;
	int mount, result;

	if (target == -ENOENT)
		return 0;
	if (target < 0)
		return failed(init, "open", target);
	result = (int)sys_statx(target, "", AT_EMPTY_PATH, STATX_TYPE, &status);
	if (result == 0 && !S_ISREG(status.stx_mode))
		result = failed(init, "it is not a regular file", -EEXIST);
	if (result == 0) {
		mount = file_mount(mode, content);
		result = mount < 0 ? failed(init, "make the file", mount) : failed(init, "move_mount", attach_to(mount, target));
		if (mount >= 0)
			sys_close(mount);
	}
	sys_close(target);
	return result;
}

static int place_file(struct init *init, const char *path, u32 mode, const struct content *content)
{
	char name[NAME_MAX + 1];
	int directory = path_parent(init, path, name);
	int result;

	if (directory == -EROFS)
		return cover_file(init, path, mode, content);
	if (directory < 0)
		return failed(init, "open the directory", directory);
	result = replace_file(directory, name, mode, content);
	sys_close(directory);
	if (result == -EROFS || result == -EBUSY) /* something is mounted there */
		return cover_file(init, path, mode, content);
	return failed(init, "write", result);
}

int op_write_file(struct init *init, const struct op *op)
{
	struct content content = { .data = op->arg[1].data, .size = op->arg[1].size };
	u32 mode = (u32)op->arg[2].number;

	if (op->arg[3].number & FILE_OVER)
		return cover_file(init, op->arg[0].data, mode, &content);
	return place_file(init, op->arg[0].data, mode, &content);
}

/* Python looks at what the mounts have made of the root, by a descriptor that leads nowhere else. */
int op_offer_root(struct init *init, const struct op *op)
{
	long fd = sys_fcntl(init->root, F_DUPFD_CLOEXEC, 3);

	(void)op;
	return fd < 0 ? failed(init, "dup", fd) : message_offer(init, (int)fd);
}

/* An empty file that Python writes to. */
int op_offer_file(struct init *init, const struct op *op)
{
	int fd = (int)sys_memfd_create("files", MFD_CLOEXEC);
	long copy;
	int result;

	if (fd < 0)
		return failed(init, "memfd_create", fd);
	result = slot_store(init, op->arg[0].number, fd);
	if (result < 0)
		return result;
	copy = sys_fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? failed(init, "dup", copy) : message_offer(init, (int)copy);
}

/* In front of each file: the sizes of its path, with the NUL, and of its content. */
struct file_header {
	u32 path_size;
	u32 mode;
	u64 size;
};

/* All files that Python has written, one after the other. */
int op_install_files(struct init *init, const struct op *op)
{
	int fd = slot_fd(init, op->arg[0].number);
	struct file_header header;
	char path[PATH_MAX];
	long result = fd < 0 ? fd : sys_lseek(fd, 0, 0);

	while (result >= 0) {
		result = sys_read(fd, &header, sizeof header);
		if (result <= 0)
			break;
		if (result != sizeof header || header.path_size == 0 || header.path_size > sizeof path) {
			result = -EINVAL;
			break;
		}
		result = sys_read(fd, path, header.path_size);
		if (result == (long)header.path_size && path[header.path_size - 1] == '\0') {
			struct content content = { .size = header.size, .fd = fd };
			i64 next = sys_lseek(fd, 0, 1) + (i64)header.size;

			result = place_file(init, path, header.mode, &content);
			if (result == 0) /* also where there was nothing to cover */
				result = sys_lseek(fd, next, 0);
		} else if (result >= 0) {
			result = -EINVAL;
		}
	}
	slot_close(init, op->arg[0].number);
	return result < 0 ? (int)result : 0;
}
