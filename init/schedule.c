/* How the kernel shares processor, disk and memory nodes out to the process; and what it takes it for. */
#include "init.h"

#include <linux/ioprio.h>

/* sched_setattr(2) */
int op_scheduler(struct init *init, const struct op *op)
{
	struct sched_attr attr = {
		.size = sizeof attr,
		.sched_policy = (u32)op->arg[0].number,
		.sched_flags = op->arg[1].number,
		.sched_nice = (i32)op->arg[2].number,
		.sched_priority = (u32)op->arg[3].number,
		.sched_runtime = op->arg[4].number,
		.sched_deadline = op->arg[5].number,
		.sched_period = op->arg[6].number,
	};

	(void)init;
	return (int)sys_sched_setattr(0, &attr);
}

/* sched_setaffinity(2). Processors that are not there, or not in the cpuset, do not count. */
int op_affinity(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_sched_setaffinity(0, op->arg[0].size, op->arg[0].data);
}

/* ioprio_set(2), for the process group: the process and what it starts */
int op_io_priority(struct init *init, const struct op *op)
{
	(void)init;
	return (int)sys_ioprio_set(IOPRIO_WHO_PGRP, 0, (u32)op->arg[0].number);
}

/* set_mempolicy(2). The kernel reads one bit less than it is told. */
int op_memory_policy(struct init *init, const struct op *op)
{
	u64 nodes[1024 / 64] = { 0 };
	u32 size = op->arg[1].size;

	if (size > sizeof nodes)
		return failed(init, "more than 1024 memory nodes", -EINVAL);
	memcpy(nodes, op->arg[1].data, size);
	return (int)sys_set_mempolicy((u32)op->arg[0].number, size > 0 ? nodes : NULL, size > 0 ? size * 8 + 1 : 0);
}

int op_personality(struct init *init, const struct op *op)
{
	long result = sys_personality(op->arg[0].number);

	(void)init;
	return result < 0 ? (int)result : 0;
}
