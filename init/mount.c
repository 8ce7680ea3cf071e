/*
 * Mounts. Each is made detached, given its attributes, and then moved onto a descriptor of its target, so that no path
 * is looked up twice and nobody ever sees it half made. mount(2) is not used.
 */
#include "init.h"

#include <linux/magic.h>

bool is_type(int fd, i64 magic)
{
	struct statfs_result status;

	return sys_fstatfs(fd, &status) == 0 && status.type == magic;
}

static long set_attr(int mount, u64 set, u64 clear, u64 propagation, u32 flags)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear, .propagation = propagation };

	if ((set | clear | propagation) == 0)
		return 0;
	return sys_mount_setattr(mount, flags, &attr);
}

int set_attributes(int mount, const struct attributes *wanted)
{
	long result = set_attr(mount, wanted->rset, wanted->rclear, wanted->rpropagation, AT_RECURSIVE);

	if (result == 0)
		result = set_attr(mount, wanted->set, wanted->clear, wanted->propagation, 0);
	return (int)result;
}

int attach_to(int mount, int target)
{
	return (int)sys_move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* A tmpfs over a directory shows that directory's mode, as users of runc expect. */
static int take_mode(int mount, int target)
{
	struct statx status;
	int top, result;

	result = (int)sys_statx(target, "", AT_EMPTY_PATH, STATX_MODE, &status);
	if (result < 0)
		return result;
	top = (int)sys_openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (top < 0)
		return top;
	result = (int)sys_fchmod(top, status.stx_mode & 07777);
	sys_close(top);
	return result;
}

static int fill(struct init *init, int mount, int target, u32 flags)
{
	int result = 0;

	if (flags & ATTACH_MODE)
		result = failed(init, "take the mode of the directory", take_mode(mount, target));
	if (result == 0 && flags & ATTACH_COPY_UP)
		result = failed(init, "copy up", copy_up(target, mount));
	return result;
}

static int check_target(struct init *init, int mount, int target, u32 flags, bool is_directory)
{
	struct statx status;
	int result = (int)sys_statx(target, "", AT_EMPTY_PATH, STATX_TYPE, &status);

	if (result < 0)
		return failed(init, "stat the target", result);
	if (is_directory != S_ISDIR(status.stx_mode))
		return failed(init, is_directory ? "the target is not a directory" : "the target is a directory",
			      -ENOTDIR);
	if (!(flags & ATTACH_ON_PROC) && is_type(target, PROC_SUPER_MAGIC))
		return failed(init, "the target lies on procfs", -EPERM);
	if (flags & ATTACH_MUST_BE_PROC && !is_type(mount, PROC_SUPER_MAGIC))
		return failed(init, "only procfs may be mounted there", -EPERM);
	return 0;
}

/* Remembers where procfs and sysfs are, for path_covered(); what is mounted over them, or over their parents, hides them. */
static void note_kernel_files(struct init *init, int mount, const char *destination, u32 flags)
{
	struct statfs_result status;
	u32 kept = 0;

	for (u32 i = 0; i < init->kernel_files_count; i++)
		if (!is_below(init->kernel_files[i].path, destination))
			init->kernel_files[kept++] = init->kernel_files[i];
	init->kernel_files_count = kept;
	if (flags & ATTACH_NO_SYMLINKS && kept < MAX_KERNEL_FILES && sys_fstatfs(mount, &status) == 0)
		init->kernel_files[init->kernel_files_count++] = (struct kernel_files){ destination, status.type };
}

int attach_mount(struct init *init, int mount, const char *destination, u32 flags)
{
	struct statx status;
	bool is_directory, existed;
	int target, result;

	result = (int)sys_statx(mount, "", AT_EMPTY_PATH, STATX_TYPE, &status);
	if (result < 0)
		return failed(init, "stat the source", result);
	is_directory = S_ISDIR(status.stx_mode);
	target = path_make(init, destination, PATH_EXISTING, flags & ATTACH_NO_SYMLINKS ? PATH_NO_SYMLINKS : 0);
	existed = target >= 0;
	if (target == -ENOENT)
		target = path_make(init, destination, is_directory ? PATH_DIRECTORY : PATH_FILE,
				   flags & ATTACH_NO_SYMLINKS ? PATH_NO_SYMLINKS : 0);
	if (target < 0)
		return failed(init, "open the target", target);
	result = check_target(init, mount, target, flags, is_directory);
	if (result == 0 && existed)
		result = fill(init, mount, target, flags);
	if (result == 0)
		result = failed(init, "move_mount", attach_to(mount, target));
	if (result == 0)
		note_kernel_files(init, mount, destination, flags);
	sys_close(target);
	return result;
}

/* The file system context keeps messages on what it disliked: they beat any errno. */
static int failed_config(struct init *init, int context, const char *step, long error)
{
	char line[512];
	long size = sys_read(context, line, sizeof line);

	if (init->detail.used > 0)
		return (int)error;
	text_string(&init->detail, step);
	if (size > 2) {
		text_string(&init->detail, ": ");
		text_add(&init->detail, line + 2, (size_t)size - 2); /* "e " in front */
	}
	return (int)error;
}

#define PARAMETER_MAX 255 /* bytes that fsconfig(2) takes of a key, and of a value; of more it says no more than EINVAL */

static long set_string(int context, const char *key, const char *value)
{
	if (strlen(value) > PARAMETER_MAX)
		return -ENAMETOOLONG;
	return sys_fsconfig(context, FSCONFIG_SET_STRING, key, value, 0);
}

static long set_parameter(int context, const char *parameter)
{
	char key[PARAMETER_MAX + 1];
	struct text name;
	size_t size = 0;

	while (parameter[size] != '\0' && parameter[size] != '=')
		size++;
	text_start(&name, key, sizeof key);
	text_add(&name, parameter, size);
	if (name.cut)
		return -ENAMETOOLONG;
	if (parameter[size] == '\0')
		return sys_fsconfig(context, FSCONFIG_SET_FLAG, key, NULL, 0);
	return set_string(context, key, parameter + size + 1);
}

static int set_parameters(struct init *init, int context, const struct argument *list)
{
	const char *parameter = list->data;

	for (u32 i = 0; i < list->count; i++) {
		long result = set_parameter(context, parameter);

		if (result < 0)
			return failed_config(init, context, parameter, result);
		parameter += strlen(parameter) + 1;
	}
	return 0;
}

/* A detached mount of a new file system. */
static int make_mount(struct init *init, const char *type, const char *source, const struct argument *parameters)
{
	int context = (int)sys_fsopen(type, FSOPEN_CLOEXEC);
	int result;

	if (context < 0)
		return failed(init, "fsopen", context);
	result = (int)set_string(context, "source", source);
	if (result < 0)
		failed_config(init, context, "source", result);
	if (result == 0)
		result = set_parameters(init, context, parameters);
	if (result == 0) {
		result = (int)sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
		if (result < 0)
			failed_config(init, context, "create", result);
	}
	if (result == 0)
		result = failed(init, "fsmount", sys_fsmount(context, FSMOUNT_CLOEXEC, 0));
	sys_close(context);
	return result;
}

int op_mount(struct init *init, const struct op *op)
{
	u32 flags = (u32)op->arg[5].number;
	int user_namespace = op->arg[6].number != 0 ? slot_fd(init, op->arg[6].number) : 0;
	int mount = make_mount(init, op->arg[1].data, op->arg[2].data, &op->arg[3]);
	int result;

	if (mount < 0)
		return mount;
	result = failed(init, "mount_setattr", set_attributes(mount, &op->attributes));
	if (result == 0 && op->arg[6].number != 0)
		result = failed(init, "map ids", user_namespace < 0 ? user_namespace : map_ids(mount, user_namespace, false));
	if (result == 0)
		result = attach_mount(init, mount, op->arg[4].data, flags);
	if (result == 0 && op->arg[0].number != 0)
		return slot_store(init, op->arg[0].number, mount);
	sys_close(mount);
	return result;
}

int op_attach(struct init *init, const struct op *op)
{
	int mount = slot_fd(init, op->arg[0].number);
	int result;

	if (mount < 0)
		return mount;
	result = attach_mount(init, mount, op->arg[1].data, (u32)op->arg[2].number);
	slot_close(init, op->arg[0].number);
	return result;
}

int op_open_tree(struct init *init, const struct op *op)
{
	u32 flags = (u32)op->arg[2].number;
	int result, mount;

	mount = (int)sys_open_tree(AT_FDCWD, op->arg[1].data, OPEN_TREE_CLOEXEC | OPEN_TREE_CLONE | flags);
	if (mount < 0)
		return failed(init, "open_tree", mount);
	result = failed(init, "mount_setattr", set_attributes(mount, &op->attributes));
	if (result < 0) {
		sys_close(mount);
		return result;
	}
	return slot_store(init, op->arg[0].number, mount);
}

/* Changes a mount that is there: its own attributes, and with parameters those of its file system. */
int op_remount(struct init *init, const struct op *op)
{
	int target = path_open(init, op->arg[0].data, O_PATH, 0);
	int context, result = 0;

	if (target < 0)
		return failed(init, "open the target", target);
	if (op->arg[2].number != 0) {
		context = (int)sys_fspick(target, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH | FSPICK_NO_AUTOMOUNT);
		result = context < 0 ? failed(init, "fspick", context) : set_parameters(init, context, &op->arg[1]);
		if (result == 0) {
			result = (int)sys_fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
			if (result < 0)
				failed_config(init, context, "reconfigure", result);
		}
		if (context >= 0)
			sys_close(context);
	}
	if (result == 0)
		result = failed(init, "mount_setattr", set_attributes(target, &op->attributes));
	sys_close(target);
	return result;
}

int op_set_attributes(struct init *init, const struct op *op)
{
	int mount = slot_fd(init, op->arg[0].number);
	int result;

	if (mount < 0)
		return mount;
	result = set_attributes(mount, &op->attributes);
	slot_close(init, op->arg[0].number);
	return result;
}
