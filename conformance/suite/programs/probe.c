/* What the kernel says about the process that runs this, and what it answers to one system call.
 *
 *   probe schedule             policy, flags, nice, priority, runtime, deadline, period (sched_getattr)
 *   probe io-priority          class and priority (ioprio_get)
 *   probe memory-policy        mode and nodes (get_mempolicy)
 *   probe ids                  real, effective and saved user id
 *   probe monotonic            seconds of CLOCK_MONOTONIC
 *   probe call NUMBER ...      a system call: "ok" or the number of the error
 *   probe call32 NUMBER        the same by the 32-bit interface, without arguments (x86_64 only)
 *   probe thread NUMBER ...    a system call in a thread of its own; "alive" when the process outlives it
 *   probe environment          all of the environment
 *   probe descriptors          the descriptors that are open
 *   probe arguments ...        the arguments, name included
 *   probe record FILE ...      writes its arguments and its environment to a file, a line each
 *   probe eat MIB              writes to so much memory
 *   probe write FILE           whether the file can be opened for writing: "ok" or the number of the error
 *   probe read FILE            likewise for reading
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t clamp_min, clamp_max;
};

static int result(long value)
{
    if (value == -1)
        printf("%d\n", errno);
    else
        puts("ok");
    return 0;
}

static int schedule(void)
{
    struct attributes own = {.size = sizeof own};
    if (syscall(SYS_sched_getattr, 0, &own, sizeof own, 0) == -1)
        return 1;
    printf("%u %llu %d %u %llu %llu %llu\n", own.policy, (unsigned long long)own.flags, own.nice, own.priority,
           (unsigned long long)own.runtime, (unsigned long long)own.deadline, (unsigned long long)own.period);
    return 0;
}

static int io_priority(void)
{
    long value = syscall(SYS_ioprio_get, 1, 0);
    printf("%ld %ld\n", value >> 13, value & 0x1fff);
    return value == -1;
}

static int memory_policy(void)
{
    int mode = 0;
    unsigned long nodes[16] = {0};
    if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, NULL, 0) == -1)
        return 1;
    printf("%d %lx\n", mode, nodes[0]);
    return 0;
}

static long call(char **words)
{
    long numbers[7] = {0};
    for (int index = 0; index < 7 && words[index]; index++)
        numbers[index] = (long)strtoull(words[index], NULL, 0);
    return syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
}

#ifdef __x86_64__
static int call_32(const char *number)
{
    long value;
    __asm__ volatile("int $0x80" : "=a"(value) : "a"(strtol(number, NULL, 0)), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    value = (int)value;
    if (value < 0 && value > -4096) {
        errno = (int)-value;
        value = -1;
    }
    return result(value);
}
#endif

static void *in_thread(void *words)
{
    call(words);
    return NULL;
}

static int thread(char **words)
{
    pthread_t made;
    if (pthread_create(&made, NULL, in_thread, words))
        return 1;
    /* a thread that was killed cannot be joined: the main one just goes on */
    struct timespec moment = {.tv_nsec = 100000000};
    nanosleep(&moment, NULL);
    puts("alive");
    fflush(stdout);
    syscall(SYS_exit_group, 0);
    return 0;
}

static int descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) != -1)
            printf("%d ", fd);
    puts("");
    return 0;
}

static int record(char **words)
{
    FILE *file = fopen(words[2], "w");
    if (!file)
        return 1;
    for (char **word = words; *word; word++)
        fprintf(file, "argument %s\n", *word);
    for (char **entry = environ; *entry; entry++)
        fprintf(file, "environment %s\n", *entry);
    return fclose(file);
}

static int eat(const char *size)
{
    size_t bytes = strtoul(size, NULL, 0) << 20;
    char *memory = malloc(bytes);
    if (!memory)
        return 1;
    for (size_t at = 0; at < bytes; at += 4096)
        ((volatile char *)memory)[at] = 1;
    puts("eaten");
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    uid_t real, effective, saved;
    struct timespec now;
    if (!strcmp(what, "schedule"))
        return schedule();
    if (!strcmp(what, "io-priority"))
        return io_priority();
    if (!strcmp(what, "memory-policy"))
        return memory_policy();
    if (!strcmp(what, "ids")) {
        getresuid(&real, &effective, &saved);
        printf("%u %u %u\n", real, effective, saved);
        return 0;
    }
    if (!strcmp(what, "monotonic")) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        printf("%lld\n", (long long)now.tv_sec);
        return 0;
    }
    if (!strcmp(what, "environment")) {
        for (char **entry = environ; *entry; entry++)
            puts(*entry);
        return 0;
    }
    if (!strcmp(what, "descriptors"))
        return descriptors();
    if (!strcmp(what, "arguments")) {
        for (int index = 0; index < count; index++)
            printf("<%s>", words[index]);
        puts("");
        return 0;
    }
    if (count > 2 && !strcmp(what, "call"))
        return result(call(words + 2));
#ifdef __x86_64__
    if (count > 2 && !strcmp(what, "call32"))
        return call_32(words[2]);
#endif
    if (count > 2 && !strcmp(what, "thread"))
        return thread(words + 2);
    if (count > 2 && !strcmp(what, "record"))
        return record(words);
    if (count > 2 && !strcmp(what, "eat"))
        return eat(words[2]);
    if (count > 2 && !strcmp(what, "write"))
        return result(open(words[2], O_WRONLY));
    if (count > 2 && !strcmp(what, "read"))
        return result(open(words[2], O_RDONLY));
    fputs("probe: what?\n", stderr);
    return 2;
}
