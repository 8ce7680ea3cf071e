"""More words of config.json and the kernel's numbers for them: those that few configs have. Tables only."""

# sched(7), linux/sched.h
SCHEDULERS = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # reserved, and refused by every kernel
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}

# ioprio_set(2), linux/ioprio.h
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13

# set_mempolicy(2), linux/mempolicy.h
MEMORY_POLICIES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_POLICY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
MEMORY_NODES = 1024

# personality(2)
PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}

# seccomp(2), linux/seccomp.h
FILTER_LOG, FILTER_SPEC_ALLOW, FILTER_NEW_LISTENER, FILTER_WAIT_KILLABLE_RECV = 0x02, 0x04, 0x08, 0x20
# TSYNC is for the other threads, of which a process that is about to run its program has none
FILTER_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": FILTER_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FILTER_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FILTER_WAIT_KILLABLE_RECV,
}
# actions for which a number can be given, which the program sees as errno or its tracer as a message
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
NOTIFY = "SCMP_ACT_NOTIFY"


def parse_list(text: str) -> set[int]:
    """Returns the numbers of a list such as 0-3,7 (cpuset(7), List format). Raises ValueError for anything else."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (_is_number(first) and (not dash or _is_number(last))):
            raise ValueError(f'"{part}" is neither a number nor a range of numbers')
        start, end = int(first), int(last or first)
        if end < start:
            raise ValueError(f'"{part}" ends before it begins')
        numbers.update(range(start, end + 1))
    return numbers


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
