/*
 * The terminal. It comes from the container's own devpts, found by what it is and not by its name: a link in the image
 * that points elsewhere must not become the console (CVE-2025-52565, CVE-2026-41579).
 */
#include "init.h"

#include <asm/ioctls.h>
#include <asm/termios.h>
#include <linux/magic.h>

#define PTMX_INODE 2
#define CONSOLE_BIND 1u /* also show the terminal as /dev/console */

static bool is_ptmx(int fd)
{
	struct statx status;

	return is_type(fd, DEVPTS_SUPER_MAGIC) &&
	       sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 && S_ISCHR(status.stx_mode) &&
	       status.stx_ino == PTMX_INODE && status.stx_rdev_major == 5 && status.stx_rdev_minor == 2;
}

static int open_master(struct init *init)
{
	int seen = path_open(init, "/dev/pts/ptmx", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	int master;

	if (seen < 0)
		return failed(init, "open /dev/pts/ptmx", seen);
	if (!is_ptmx(seen)) {
		sys_close(seen);
		return failed(init, "/dev/pts/ptmx is not the terminal multiplexer of a devpts", -ENODEV);
	}
	sys_close(seen);
	master = path_open(init, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	if (master < 0)
		return failed(init, "open /dev/pts/ptmx", master);
	if (is_ptmx(master))
		return master;
	sys_close(master);
	return failed(init, "/dev/pts/ptmx changed", -ENODEV);
}

static int open_peer(struct init *init, int master)
{
	int unlock = 0;
	long result = sys_ioctl(master, TIOCSPTLCK, &unlock);

	if (result < 0)
		return failed(init, "unlock the terminal", result);
	result = sys_ioctl(master, TIOCGPTPEER, (void *)(uintptr_t)(O_RDWR | O_NOCTTY | O_CLOEXEC));
	return failed(init, "open the terminal", result);
}

/* /dev/console: a file made here if there is none, never one behind a link (CVE-2026-88264). */
static int bind_console(struct init *init, int peer)
{
	char name[NAME_MAX + 1];
	int directory = path_parent(init, "/dev/console", name);
	int target, tree = -1;
	long result;

	if (directory < 0)
		return failed(init, "open /dev", directory);
	result = sys_mknodat(directory, name, S_IFREG | 0600, 0);
	target = (int)sys_openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	sys_close(directory);
	if ((result < 0 && result != -EEXIST) || target < 0)
		return failed(init, "make /dev/console", result < 0 && result != -EEXIST ? result : target);
	tree = (int)sys_open_tree(peer, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	result = tree < 0 ? tree : attach_to(tree, target);
	if (tree >= 0)
		sys_close(tree);
	sys_close(target);
	return failed(init, "mount on /dev/console", result);
}

/* One message, one byte at least, one descriptor: what every client's receiver is written for. */
static int send_master(struct init *init, int socket, int master)
{
	char name[] = "/dev/pts/ptmx";
	struct io_vector data = { .base = name, .size = sizeof name - 1 };
	struct control_message control = {
		.size = offsetof(struct control_message, pad),
		.level = SOL_SOCKET_LEVEL,
		.type = SCM_RIGHTS_TYPE,
		.fd = master,
	};
	struct message_header message = {
		.vectors = &data,
		.vector_count = 1,
		.control = &control,
		.control_size = sizeof control,
	};
	long result = sys_sendmsg(socket, &message, MSG_NOSIGNAL_FLAG);

	return failed(init, "send the terminal", result < 0 ? result : 0);
}

static int become_terminal(struct init *init, int peer)
{
	int result = 0;

	for (int stream = 0; stream < 3 && result == 0; stream++) {
		long copy = sys_dup3(peer, stream, 0);

		result = copy < 0 ? (int)copy : 0;
	}
	if (result == 0)
		result = (int)sys_ioctl(0, TIOCSCTTY, NULL);
	return failed(init, "take the terminal", result);
}

static int prepare_peer(struct init *init, int peer, const struct op *op)
{
	struct winsize size = { .ws_row = (u16)op->arg[1].number, .ws_col = (u16)op->arg[2].number };
	long result = sys_fchownat(peer, "", (u32)op->arg[3].number, 0xffffffffu, AT_EMPTY_PATH);

	if (result < 0)
		return failed(init, "chown the terminal", result);
	if (size.ws_row == 0 && size.ws_col == 0)
		return 0;
	return failed(init, "set the terminal's size", sys_ioctl(peer, TIOCSWINSZ, &size));
}

int op_console(struct init *init, const struct op *op)
{
	int socket = slot_fd(init, op->arg[0].number);
	int master, peer, result;

	if (socket < 0)
		return socket;
	master = open_master(init);
	if (master < 0)
		return master;
	peer = open_peer(init, master);
	result = peer < 0 ? peer : prepare_peer(init, peer, op);
	if (result == 0 && op->arg[4].number & CONSOLE_BIND)
		result = bind_console(init, peer);
	if (result == 0)
		result = send_master(init, socket, master);
	if (result == 0)
		result = become_terminal(init, peer);
	if (peer >= 0)
		sys_close(peer);
	sys_close(master);
	slot_close(init, op->arg[0].number);
	return result;
}
