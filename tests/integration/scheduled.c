/* Prints how the kernel schedules the process. Built static and put into the container by test_schedule.py. */
#define _GNU_SOURCE
#include <linux/sched/types.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1

int main(void)
{
	struct sched_attr attr = { .size = sizeof attr };
	unsigned long nodes[16] = { 0 };
	int memory = -1;
	struct utsname name;
	long io;

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) < 0 || uname(&name) < 0 ||
	    syscall(SYS_get_mempolicy, &memory, nodes, sizeof nodes * 8, 0, 0) < 0)
		return 1;
	io = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	printf("policy %u\nflags %llu\nnice %d\npriority %u\n", attr.sched_policy, (unsigned long long)attr.sched_flags,
	       attr.sched_nice, attr.sched_priority);
	printf("runtime %llu\ndeadline %llu\nperiod %llu\n", (unsigned long long)attr.sched_runtime,
	       (unsigned long long)attr.sched_deadline, (unsigned long long)attr.sched_period);
	printf("io %ld %ld\nmemory %d %lu\nmachine %s\n", io >> 13, io & 7, memory, nodes[0], name.machine);
	return 0;
}
