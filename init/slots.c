#include "init.h"

int slot_fd(const struct init *init, u64 slot)
{
	if (slot == 0 || slot >= PLAN_MAX_SLOTS || init->slots[slot] == 0)
		return -EBADF;
	return init->slots[slot] - 1;
}

int slot_store(struct init *init, u64 slot, long fd)
{
	if (fd < 0)
		return (int)fd;
	if (slot == 0 || slot >= PLAN_MAX_SLOTS || init->slots[slot] != 0) {
		sys_close((int)fd);
		return -EBADF;
	}
	init->slots[slot] = (i32)fd + 1;
	if (slot >= init->slots_used)
		init->slots_used = (u32)slot + 1;
	return 0;
}

void slot_close(struct init *init, u64 slot)
{
	int fd = slot_fd(init, slot);

	if (fd >= 0) {
		sys_close(fd);
		init->slots[slot] = 0;
	}
}
