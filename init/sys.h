/*
 * Raw system calls for a program without libc.
 *
 * init is what enters the container, so everything it is made of must be readable here: no libc, no allocator, no
 * locale, no NSS. Every wrapper returns the kernel's own result: zero or more on success, a negative errno otherwise.
 */
#ifndef PYRUNTIME_SYS_H
#define PYRUNTIME_SYS_H

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#include <linux/errno.h>

#define PATH_MAX 4096
#define NAME_MAX 255

#if defined(__x86_64__)

static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

#else
#error "pyruntime's init knows x86_64 and aarch64"
#endif

#define SYS_ARG(x) ((long)(x))
#define SYS_0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS_1(n, a) sys6(n, SYS_ARG(a), 0, 0, 0, 0, 0)
#define SYS_2(n, a, b) sys6(n, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define SYS_3(n, a, b, c) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define SYS_4(n, a, b, c, d) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define SYS_5(n, a, b, c, d, e) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)

/* ---- descriptors and files */

static inline long sys_close(int fd) { return SYS_1(__NR_close, fd); }
static inline long sys_close_range(u32 first, u32 last, u32 flags)
{
	return SYS_3(__NR_close_range, first, last, flags);
}
static inline long sys_dup3(int from, int to, int flags) { return SYS_3(__NR_dup3, from, to, flags); }
static inline long sys_read(int fd, void *buffer, size_t size) { return SYS_3(__NR_read, fd, buffer, size); }
static inline long sys_write(int fd, const void *data, size_t size) { return SYS_3(__NR_write, fd, data, size); }
static inline long sys_lseek(int fd, i64 offset, int whence) { return SYS_3(__NR_lseek, fd, offset, whence); }
static inline long sys_ioctl(int fd, u64 request, const void *arg) { return SYS_3(__NR_ioctl, fd, request, arg); }
static inline long sys_fcntl(int fd, int command, long arg) { return SYS_3(__NR_fcntl, fd, command, arg); }
static inline long sys_pipe2(int *fds, int flags) { return SYS_2(__NR_pipe2, fds, flags); }
static inline long sys_openat(int dir, const char *path, int flags, u32 mode)
{
	return SYS_4(__NR_openat, dir, path, flags, mode);
}
static inline long sys_openat2(int dir, const char *path, const struct open_how *how)
{
	return SYS_4(__NR_openat2, dir, path, how, sizeof *how);
}
static inline long sys_statx(int dir, const char *path, int flags, u32 mask, struct statx *out)
{
	return SYS_5(__NR_statx, dir, path, flags, mask, out);
}
static inline long sys_mkdirat(int dir, const char *name, u32 mode) { return SYS_3(__NR_mkdirat, dir, name, mode); }
static inline long sys_mknodat(int dir, const char *name, u32 mode, u64 dev)
{
	return SYS_4(__NR_mknodat, dir, name, mode, dev);
}
static inline long sys_symlinkat(const char *target, int dir, const char *name)
{
	return SYS_3(__NR_symlinkat, target, dir, name);
}
static inline long sys_unlinkat(int dir, const char *name, int flags)
{
	return SYS_3(__NR_unlinkat, dir, name, flags);
}
static inline long sys_renameat2(int from_dir, const char *from, int to_dir, const char *to, u32 flags)
{
	return SYS_5(__NR_renameat2, from_dir, from, to_dir, to, flags);
}
static inline long sys_memfd_create(const char *name, u32 flags) { return SYS_2(__NR_memfd_create, name, flags); }
static inline long sys_readlinkat(int dir, const char *name, char *buffer, size_t size)
{
	return SYS_4(__NR_readlinkat, dir, name, buffer, size);
}
static inline long sys_fchownat(int dir, const char *name, u32 uid, u32 gid, int flags)
{
	return SYS_5(__NR_fchownat, dir, name, uid, gid, flags);
}
static inline long sys_fchmod(int fd, u32 mode) { return SYS_2(__NR_fchmod, fd, mode); }
static inline long sys_faccessat2(int dir, const char *path, int mode, int flags)
{
	return SYS_4(__NR_faccessat2, dir, path, mode, flags);
}
static inline long sys_utimensat(int dir, const char *path, const struct __kernel_timespec *times, int flags)
{
	return SYS_4(__NR_utimensat, dir, path, times, flags);
}
static inline long sys_getdents64(int fd, void *buffer, size_t size)
{
	return SYS_3(__NR_getdents64, fd, buffer, size);
}
static inline long sys_sendfile(int out, int in, i64 *offset, size_t count)
{
	return SYS_4(__NR_sendfile, out, in, offset, count);
}
static inline long sys_fchdir(int fd) { return SYS_1(__NR_fchdir, fd); }
static inline long sys_chdir(const char *path) { return SYS_1(__NR_chdir, path); }
static inline long sys_getcwd(char *buffer, size_t size) { return SYS_2(__NR_getcwd, buffer, size); }
static inline long sys_chroot(const char *path) { return SYS_1(__NR_chroot, path); }
static inline long sys_umask(u32 mask) { return SYS_1(__NR_umask, mask); }

/* ---- memory */

static inline long sys_mmap(size_t size, int protection, int flags, int fd)
{
	return sys6(__NR_mmap, 0, (long)size, protection, flags, fd, 0);
}

static inline long sys_madvise(const void *address, size_t size, int advice)
{
	return SYS_3(__NR_madvise, address, size, advice);
}

/* ---- mounts */

static inline long sys_open_tree(int dir, const char *path, u32 flags)
{
	return SYS_3(__NR_open_tree, dir, path, flags);
}
static inline long sys_move_mount(int from, const char *from_path, int to, const char *to_path, u32 flags)
{
	return SYS_5(__NR_move_mount, from, from_path, to, to_path, flags);
}
static inline long sys_fsopen(const char *type, u32 flags) { return SYS_2(__NR_fsopen, type, flags); }
static inline long sys_fspick(int dir, const char *path, u32 flags) { return SYS_3(__NR_fspick, dir, path, flags); }
static inline long sys_fsconfig(int fd, u32 command, const char *key, const void *value, int aux)
{
	return SYS_5(__NR_fsconfig, fd, command, key, value, aux);
}
static inline long sys_fsmount(int fd, u32 flags, u32 attributes)
{
	return SYS_3(__NR_fsmount, fd, flags, attributes);
}
static inline long sys_mount_setattr(int fd, u32 flags, const struct mount_attr *attr)
{
	return SYS_5(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | flags, attr, sizeof *attr);
}
static inline long sys_umount2(const char *path, int flags) { return SYS_2(__NR_umount2, path, flags); }
static inline long sys_pivot_root(const char *new_root, const char *old_root)
{
	return SYS_2(__NR_pivot_root, new_root, old_root);
}

/* struct statfs of the 64-bit generic ABI (asm-generic/statfs.h); only the type is read */
struct statfs_result {
	i64 type;
	i64 rest[14];
};
static inline long sys_fstatfs(int fd, struct statfs_result *out) { return SYS_2(__NR_fstatfs, fd, out); }

/* ---- processes */

static inline long sys_clone3(const struct clone_args *args) { return SYS_2(__NR_clone3, args, sizeof *args); }
/* clone(2) of old: profiles that were written before clone3 refuse that one. The order of the last two arguments depends
 * on the architecture; neither is used. */
static inline long sys_clone(u64 flags, int *pidfd) { return SYS_5(__NR_clone, flags, 0, pidfd, 0, 0); }
static inline long sys_unshare(u64 flags) { return SYS_1(__NR_unshare, flags); }
static inline long sys_setns(int fd, u64 type) { return SYS_2(__NR_setns, fd, type); }
static inline long sys_setsid(void) { return SYS_0(__NR_setsid); }
static inline long sys_getpid(void) { return SYS_0(__NR_getpid); }
static inline long sys_kill(int pid, int signal) { return SYS_2(__NR_kill, pid, signal); }
static inline long sys_waitid(int type, int id, void *info, int options)
{
	return SYS_5(__NR_waitid, type, id, info, options, 0);
}
static inline long sys_execve(const char *path, const char *const *argv, const char *const *envp)
{
	return SYS_3(__NR_execve, path, argv, envp);
}
static inline long sys_prctl(int option, u64 a, u64 b, u64 c) { return SYS_5(__NR_prctl, option, a, b, c, 0); }
static inline long sys_prlimit64(int pid, int resource, const void *new_limit, void *old_limit)
{
	return SYS_4(__NR_prlimit64, pid, resource, new_limit, old_limit);
}
static inline long sys_setgroups(size_t count, const u32 *groups) { return SYS_2(__NR_setgroups, count, groups); }
static inline long sys_setresgid(u32 r, u32 e, u32 s) { return SYS_3(__NR_setresgid, r, e, s); }
static inline long sys_setresuid(u32 r, u32 e, u32 s) { return SYS_3(__NR_setresuid, r, e, s); }
static inline long sys_getresgid(u32 *r, u32 *e, u32 *s) { return SYS_3(__NR_getresgid, r, e, s); }
static inline long sys_getresuid(u32 *r, u32 *e, u32 *s) { return SYS_3(__NR_getresuid, r, e, s); }
static inline long sys_capset(const void *header, const void *data) { return SYS_2(__NR_capset, header, data); }
static inline long sys_capget(void *header, void *data) { return SYS_2(__NR_capget, header, data); }
static inline long sys_sethostname(const char *name, size_t size) { return SYS_2(__NR_sethostname, name, size); }
static inline long sys_setdomainname(const char *name, size_t size) { return SYS_2(__NR_setdomainname, name, size); }
static inline long sys_keyctl(int command, u64 a, u64 b, u64 c) { return SYS_4(__NR_keyctl, command, a, b, c); }
static inline long sys_bpf(int command, const void *attr, size_t size) { return SYS_3(__NR_bpf, command, attr, size); }
static inline long sys_seccomp(u32 operation, u32 flags, const void *arguments)
{
	return SYS_3(__NR_seccomp, operation, flags, arguments);
}
static inline long sys_sched_setaffinity(int pid, size_t size, const void *mask)
{
	return SYS_3(__NR_sched_setaffinity, pid, size, mask);
}

static inline long sys_sched_setattr(int pid, const struct sched_attr *attr)
{
	return SYS_3(__NR_sched_setattr, pid, attr, 0);
}
static inline long sys_ioprio_set(int which, int who, u32 priority)
{
	return SYS_3(__NR_ioprio_set, which, who, priority);
}
static inline long sys_set_mempolicy(u32 mode, const void *nodes, u64 bits)
{
	return SYS_3(__NR_set_mempolicy, mode, nodes, bits);
}
static inline long sys_personality(u64 persona) { return SYS_1(__NR_personality, persona); }
static inline long sys_rt_sigaction(int signal, const void *action, void *old)
{
	return SYS_4(__NR_rt_sigaction, signal, action, old, 8);
}
static inline long sys_rt_sigprocmask(int how, const u64 *set) { return SYS_4(__NR_rt_sigprocmask, how, set, 0, 8); }
static inline long sys_ppoll(void *fds, u32 count, const struct __kernel_timespec *timeout)
{
	return SYS_5(__NR_ppoll, fds, count, timeout, 0, 8);
}
static inline long sys_clock_gettime(int clock, struct __kernel_timespec *out)
{
	return SYS_2(__NR_clock_gettime, clock, out);
}
static inline _Noreturn void sys_exit_group(int status)
{
	for (;;)
		SYS_1(__NR_exit_group, status);
}

/* ---- sockets: the kernel's structures, which its exported headers leave to libc */

struct io_vector {
	void *base;
	size_t size;
};
struct message_header {
	void *name;
	int name_size;
	int pad;
	struct io_vector *vectors;
	size_t vector_count;
	void *control;
	size_t control_size;
	u32 flags;
	u32 pad2;
};
struct control_message {
	size_t size;
	int level;
	int type;
	int fd;
	int pad;
};
#define SOL_SOCKET_LEVEL 1
#define SCM_RIGHTS_TYPE 1
#define MSG_NOSIGNAL_FLAG 0x4000
#define AF_UNIX_DOMAIN 1
#define AF_NETLINK_DOMAIN 16
#define SOCK_DGRAM_TYPE 2
#define SOCK_CLOEXEC_FLAG 02000000

static inline long sys_socket(int domain, int type, int protocol)
{
	return SYS_3(__NR_socket, domain, type, protocol);
}
static inline long sys_sendmsg(int fd, const struct message_header *message, int flags)
{
	return SYS_3(__NR_sendmsg, fd, message, flags);
}

#endif
