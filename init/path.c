/*
 * Paths below the container's root.
 *
 * The root's content is hostile: any component may be a symbolic link, or become one between two looks. So nothing
 * here joins strings and hands them to the kernel: every look-up is an openat2() that cannot leave the root and cannot
 * follow the links of procfs, and what is missing is made with mkdirat() and mknodat() in a directory already open.
 * (CVE-2019-18837, CVE-2021-30465, CVE-2024-45310 and their relatives.)
 */
#include "init.h"

#define MAX_LINKS 40   /* as the kernel's own limit */
#define MAX_RETRIES 128 /* openat2 gives EAGAIN when a rename races with a scoped look-up */

static int open_scoped(int directory, const char *path, u64 open_flags, u64 resolve)
{
	struct open_how how = { .flags = open_flags | O_CLOEXEC, .resolve = resolve };
	long result = -EAGAIN;

	for (int i = 0; i < MAX_RETRIES && result == -EAGAIN; i++)
		result = sys_openat2(directory, path[0] == '\0' ? "." : path, &how);
	return (int)result;
}

int path_open(struct init *init, const char *path, u64 open_flags, u64 resolve)
{
	return open_scoped(init->root, path, open_flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);
}

int open_beneath(int directory, const char *path, u64 open_flags)
{
	return open_scoped(directory, path, open_flags,
			   RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* The walk that makes what is missing: `done` has no links in it, `todo` is what is left. */
struct walk {
	struct init *init;
	u32 flags;
	u32 links;
	struct text done;
	struct text todo;
	char done_buffer[PATH_MAX];
	char todo_buffer[PATH_MAX];
};

static const char *skip_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

static size_t component_size(const char *path)
{
	size_t size = 0;

	while (path[size] != '\0' && path[size] != '/')
		size++;
	return size;
}

static void drop_last(struct text *path)
{
	while (path->used > 0 && path->data[path->used - 1] != '/')
		path->used--;
	while (path->used > 0 && path->data[path->used - 1] == '/')
		path->used--;
	path->data[path->used] = '\0';
}

static void add_component(struct text *path, const char *name, size_t size)
{
	if (path->used > 0)
		text_add(path, "/", 1);
	text_add(path, name, size);
}

/* `done` ends in a link: replace it by where it points, in front of `rest`. */
static int follow_link(struct walk *walk, int link, const char *rest)
{
	char target[PATH_MAX], left[PATH_MAX];
	struct text copy;
	long size = sys_readlinkat(link, "", target, sizeof target);

	if (size < 0)
		return (int)size;
	if (walk->flags & PATH_NO_SYMLINKS || ++walk->links > MAX_LINKS)
		return -ELOOP;
	text_start(&copy, left, sizeof left);
	text_string(&copy, rest);
	drop_last(&walk->done);
	if (size > 0 && target[0] == '/')
		text_start(&walk->done, walk->done_buffer, sizeof walk->done_buffer);
	text_start(&walk->todo, walk->todo_buffer, sizeof walk->todo_buffer);
	text_add(&walk->todo, target, (size_t)size);
	text_add(&walk->todo, "/", 1);
	text_add(&walk->todo, left, copy.used);
	return walk->todo.cut || copy.cut ? -ENAMETOOLONG : 0;
}

static int make_component(struct walk *walk, const char *name, enum path_kind kind)
{
	struct text parent = walk->done;
	char buffer[PATH_MAX];
	long result;
	int directory;

	text_start(&parent, buffer, sizeof buffer);
	text_add(&parent, walk->done.data, walk->done.used);
	drop_last(&parent);
	directory = path_open(walk->init, buffer, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (directory < 0)
		return directory;
	if (kind == PATH_FILE)
		result = sys_mknodat(directory, name, S_IFREG | 0644, 0);
	else
		result = sys_mkdirat(directory, name, 0755);
	sys_close(directory);
	return result == -EEXIST ? 0 : (int)result;
}

/* Takes one component of `todo`: steps into it, follows it, or makes it. */
static int walk_component(struct walk *walk, enum path_kind kind)
{
	const char *start = skip_slashes(walk->todo.data);
	size_t size = component_size(start);
	const char *rest = skip_slashes(start + size);
	char name[NAME_MAX + 1], left[PATH_MAX];
	struct statx status;
	struct text copy;
	int fd, result = 0;

	if (size > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, start, size);
	name[size] = '\0';
	text_start(&copy, left, sizeof left);
	text_string(&copy, rest);
	text_start(&walk->todo, walk->todo_buffer, sizeof walk->todo_buffer);
	text_add(&walk->todo, left, copy.used);
	if (size == 0 || text_equal(name, "."))
		return 0;
	if (text_equal(name, "..")) {
		drop_last(&walk->done);
		return 0;
	}
	add_component(&walk->done, name, size);
	if (walk->done.cut)
		return -ENAMETOOLONG;
	fd = path_open(walk->init, walk->done.data, O_PATH | O_NOFOLLOW, 0);
	if (fd == -ENOENT)
		return make_component(walk, name, walk->todo.used > 0 ? PATH_DIRECTORY : kind);
	if (fd < 0)
		return fd;
	result = (int)sys_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status);
	if (result == 0 && S_ISLNK(status.stx_mode))
		result = follow_link(walk, fd, left);
	sys_close(fd);
	return result;
}

/*
 * Opens `path` below the root as an O_PATH descriptor, making what is missing: directories on the way, and at its end
 * a directory or an empty file. With PATH_EXISTING nothing is made.
 */
int path_make(struct init *init, const char *path, enum path_kind kind, u32 flags)
{
	u64 resolve = flags & PATH_NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
	struct walk walk = { .init = init, .flags = flags };
	int result = path_open(init, path, O_PATH, resolve);

	if (result != -ENOENT || kind == PATH_EXISTING)
		return result;
	text_start(&walk.done, walk.done_buffer, sizeof walk.done_buffer);
	text_start(&walk.todo, walk.todo_buffer, sizeof walk.todo_buffer);
	text_string(&walk.todo, path);
	if (walk.todo.cut)
		return -ENAMETOOLONG;
	while (walk.todo.used > 0) {
		result = walk_component(&walk, kind);
		if (result < 0)
			return result;
	}
	return path_open(init, walk.done.data, O_PATH, RESOLVE_NO_SYMLINKS);
}

/* Opens the directory that holds the last component of `path`, making it where missing, and copies that name out. */
int path_parent(struct init *init, const char *path, char name[NAME_MAX + 1])
{
	char buffer[PATH_MAX];
	struct text parent;
	size_t size;

	text_start(&parent, buffer, sizeof buffer);
	text_string(&parent, path);
	while (parent.used > 0 && parent.data[parent.used - 1] == '/')
		parent.data[--parent.used] = '\0';
	drop_last(&parent);
	path = skip_slashes(path + parent.used);
	size = component_size(path);
	if (parent.cut || size > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path, size);
	name[size] = '\0';
	if (size == 0 || text_equal(name, ".") || text_equal(name, ".."))
		return -EINVAL;
	return path_make(init, buffer, PATH_DIRECTORY, 0);
}

bool is_below(const char *path, const char *directory)
{
	size_t size = strlen(directory);

	for (size_t i = 0; i < size; i++)
		if (path[i] != directory[i])
			return false;
	return path[size] == '\0' || path[size] == '/';
}

/*
 * What the config wants covered in procfs or sysfs is looked up in that file system and nowhere else. Somebody who shares
 * the image could move the directory with the mount away, and the mask would land on what has its name by then, while
 * procfs lies open under another (CVE-2019-19921).
 */
int path_covered(struct init *init, const char *path)
{
	for (u32 i = 0; i < init->kernel_files_count; i++) {
		const struct kernel_files *files = &init->kernel_files[i];
		int top, result;

		if (!is_below(path, files->path))
			continue;
		top = path_open(init, files->path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
		if (top >= 0 && is_type(top, files->type))
			result = open_scoped(top, skip_slashes(path + strlen(files->path)), O_PATH,
					     RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
		else
			result = failed(init, "what was mounted there is there no more", -ESTALE);
		if (top >= 0)
			sys_close(top);
		return result;
	}
	return path_open(init, path, O_PATH, 0);
}
