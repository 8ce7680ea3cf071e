/* What a process in a container can find out and do.
 *
 *   witness spy FILE        looks at all other processes until FILE is there, and says what it could get at
 *   witness escape          leaves a chroot(2) in the way that root can, and lists the root that it comes to
 *   witness terminal        whether there is a controlling terminal: "ok" or the number of the error
 *   witness key NAME        whether a key is in the session keyring: "found" or the number of the error
 *   witness add-key NAME    puts one there
 *   witness with-key NAME PROGRAM ...  runs a program in a new session keyring that has one
 *   witness trace PID       whether the process can be traced: "ok" or the number of the error
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define KEPT 4096
#define LINE 512

static int result(long value)
{
    if (value == -1)
        printf("%d\n", errno);
    else
        puts("ok");
    return 0;
}

/* Says a thing once, however often it is seen. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    static char kept[KEPT][LINE];
    static int count;
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (int index = 0; index < count; index++)
        if (strcmp(kept[index], line) == 0)
            return;
    if (count < KEPT)
        strcpy(kept[count++], line);
    puts(line);
    fflush(stdout);
}

static char kind(mode_t mode)
{
    return S_ISDIR(mode) ? 'd' : S_ISREG(mode) ? '-' : S_ISCHR(mode) ? 'c' : S_ISLNK(mode) ? 'l' : 'o';
}

static bool on_procfs(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

/* "cwd" or "root" of a process: whether it is the own root; "exe": whether it could be written to once it is not run. */
static const char *about(const char *name, const char *path, const struct stat *status)
{
    struct statvfs files;
    struct stat own;
    if (strcmp(name, "exe") == 0)
        return statvfs(path, &files) == 0 && files.f_flag & ST_RDONLY ? "read-only" : "writable";
    return stat("/", &own) == 0 && status->st_dev == own.st_dev && status->st_ino == own.st_ino ? "own" : "other";
}

static void look_at(const char *pid, const char *name)
{
    char path[300], target[300] = "";
    struct stat status;
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    if (stat(path, &status) == -1 || readlink(path, target, sizeof target - 1) == -1)
        return;
    say("%s %d:%llu %s %s", name, (int)status.st_dev, (unsigned long long)status.st_ino,
        about(name, path, &status), target);
}

static void look_at_descriptors(const char *pid)
{
    char folder[280], path[600], target[300];
    struct stat status;
    struct dirent *entry;
    DIR *directory;
    snprintf(folder, sizeof folder, "/proc/%s/fd", pid);
    directory = opendir(folder);
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        memset(target, 0, sizeof target);
        if (stat(path, &status) == -1 || readlink(path, target, sizeof target - 1) == -1)
            continue;
        if (!on_procfs(path))
            say("fd %s %c %s", atoi(entry->d_name) < 3 ? "standard" : "further", kind(status.st_mode), target);
    }
    if (directory)
        closedir(directory);
}

static int spy(const char *until)
{
    char own[16];
    snprintf(own, sizeof own, "%d", (int)getpid());
    say("spying");
    while (access(until, F_OK) == -1) {
        struct dirent *entry;
        DIR *processes = opendir("/proc");
        while (processes && (entry = readdir(processes))) {
            if (atoi(entry->d_name) == 0 || strcmp(entry->d_name, own) == 0)
                continue;
            say("process");
            look_at(entry->d_name, "exe");
            look_at(entry->d_name, "cwd");
            look_at(entry->d_name, "root");
            look_at_descriptors(entry->d_name);
        }
        if (processes)
            closedir(processes);
    }
    say("done");
    return 0;
}

static int escape(void)
{
    struct dirent *entry;
    DIR *directory;
    mkdir("/tmp/below", 0700);
    if (chroot("/tmp/below") == -1)
        return result(-1);
    for (int level = 0; level < 64; level++)
        if (chdir("..") == -1)
            return result(-1);
    if (chroot(".") == -1)
        return result(-1);
    directory = opendir("/");
    while (directory && (entry = readdir(directory)))
        puts(entry->d_name);
    return 0;
}

static int find_key(const char *name)
{
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);
    if (key == -1)
        return result(-1);
    puts("found");
    return 0;
}

static long add_key(const char *name)
{
    return syscall(SYS_add_key, "user", name, "secret", 6, KEY_SPEC_SESSION_KEYRING);
}

static int with_key(const char *name, char **words)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) == -1 || add_key(name) == -1)
        return 1;
    execvp(words[0], words);
    return 127;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "spy") == 0 && argc == 3)
        return spy(argv[2]);
    if (strcmp(what, "escape") == 0)
        return escape();
    if (strcmp(what, "terminal") == 0)
        return result(open("/dev/tty", O_RDWR | O_CLOEXEC));
    if (strcmp(what, "key") == 0 && argc == 3)
        return find_key(argv[2]);
    if (strcmp(what, "add-key") == 0 && argc == 3)
        return result(add_key(argv[2]));
    if (strcmp(what, "with-key") == 0 && argc > 3)
        return with_key(argv[2], argv + 3);
    if (strcmp(what, "trace") == 0 && argc == 3)
        return result(ptrace(PTRACE_SEIZE, atoi(argv[2]), NULL, NULL));
    fprintf(stderr, "usage: witness spy|escape|terminal|key|add-key|trace ...\n");
    return 2;
}
