/* What the container's process inherits: the standard streams and what was asked for, and nothing else. */
#include "init.h"

#include <linux/resource.h>

static int move_to(int *fd, int number)
{
	long result = *fd == number ? 0 : sys_dup3(*fd, number, O_CLOEXEC);

	if (result >= 0)
		*fd = number;
	return result < 0 ? (int)result : 0;
}

/* Out of the way of the numbers that they will have. */
static int move_above(int *fd, int number)
{
	long copy = sys_fcntl(*fd, F_DUPFD_CLOEXEC, number);

	if (copy < 0)
		return (int)copy;
	*fd = (int)copy;
	return 0;
}

static int give_back_open_files(const struct init *init)
{
	struct rlimit64 limit;
	long result;

	if (init->open_files == 0)
		return 0;
	result = sys_prlimit64(0, RLIMIT_NOFILE, NULL, &limit);
	if (result < 0)
		return (int)result;
	limit.rlim_cur = init->open_files;
	return (int)sys_prlimit64(0, RLIMIT_NOFILE, &limit, NULL);
}

static int from_slot(const struct init *init, u64 slot, int *fd)
{
	*fd = slot != 0 ? slot_fd(init, slot) : -1; /* a process that is added to a container waits for no `start` */
	return slot == 0 || *fd >= 0 ? 0 : -EBADF;
}

/*
 * Closes everything but the standard streams, the preserved descriptors, the two fifos and the handshake, which get the
 * numbers behind the preserved ones. While it waits, which may be for days, init holds nothing that a process in its
 * namespaces could be after (CVE-2016-9962, CVE-2024-21626); and after the filter is in force, which may not permit it,
 * there is nothing left to close. The fifo that stays open until execve(2) tells `start` by its closing that the program
 * runs; it is close-on-exec and nothing that could be executed.
 */
int op_close_descriptors(struct init *init, const struct op *op)
{
	int keep = 3 + (int)op->arg[0].number;
	int *kept[] = { &init->start, &init->started, &init->socket };
	int last = keep;
	int result = from_slot(init, op->arg[1].number, &init->start);

	if (result == 0)
		result = from_slot(init, op->arg[2].number, &init->started);
	for (int i = 0; i < 3 && result == 0; i++)
		if (*kept[i] >= 0)
			result = move_above(kept[i], keep + 3);
	for (int i = 0; i < 3 && result == 0; i++)
		if (*kept[i] >= 0)
			result = move_to(kept[i], last++);
	if (result == 0)
		result = (int)sys_close_range((u32)last, ~0u, 0);
	for (int fd = 3; fd < keep && result >= 0; fd++)
		result = (int)sys_fcntl(fd, F_SETFD, 0);
	for (u32 slot = 0; slot < init->slots_used; slot++)
		init->slots[slot] = 0;
	init->root = -1;
	return result < 0 ? failed(init, "arrange the descriptors", result) : give_back_open_files(init);
}
