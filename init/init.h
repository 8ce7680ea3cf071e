/* init's state, and what its files offer each other. Every op_* returns 0 or a negative errno. */
#ifndef PYRUNTIME_INIT_H
#define PYRUNTIME_INIT_H

#include "plan.h"
#include "text.h"

/* Where a file system of the kernel's is in the container. */
struct kernel_files {
	const char *path; /* of the plan */
	i64 type;
};
#define MAX_KERNEL_FILES 16

struct init {
	struct plan plan;
	const void *bytes;	    /* the plan as it is mapped, and its size */
	size_t size;
	u32 index;		    /* of the op that runs */
	int socket;		    /* handshake with Python; -1 once ready */
	int start;		    /* fifo on which `start` says to go on; -1 before close-descriptors */
	int started;		    /* fifo to tell `start` how it went; -1 before */
	int root;		    /* the container's root; -1 before attach-root or use-root */
	bool changed_directory;	    /* working-directory has succeeded */
	const char *program;	    /* what find-program found */
	const char *home;	    /* HOME=..., or NULL */
	const char *const *argv;    /* for execve(2) */
	const char *const *envp;
	struct kernel_files kernel_files[MAX_KERNEL_FILES]; /* procfs and sysfs */
	u32 kernel_files_count;
	u64 open_files;		    /* soft limit that the container inherits; 0 when there is none to give back */
	u32 slots_used;		    /* behind the last slot that has ever been filled */
	struct text detail;	    /* which step of the op failed, in words */
	char detail_buffer[2048];
	i32 slots[PLAN_MAX_SLOTS];  /* descriptor + 1; 0 is empty, so that untouched pages stay untouched */
};

#define OP(function, name, signature) int op_##function(struct init *init, const struct op *op);
#include "ops.def"
#undef OP

/* slots.c: descriptors by the number the plan gives them */
int slot_fd(const struct init *init, u64 slot);		 /* descriptor or -EBADF */
int slot_store(struct init *init, u64 slot, long fd);	 /* 0 or -EBADF; passes a negative `fd` on */
void slot_close(struct init *init, u64 slot);

/* message.c: what init tells Python and how it waits for the answer */
enum message_kind {
	MESSAGE_CLONED = 1,
	MESSAGE_BARRIER = 2,
	MESSAGE_ERROR = 3,
	MESSAGE_STEP = 4,
	MESSAGE_STARTED = 5,
	MESSAGE_OFFER = 6,
};
int message_send(struct init *init, enum message_kind kind, i32 value);
int message_wait(struct init *init);			 /* until Python says go; -EPIPE when it is gone */
int message_offer(struct init *init, int fd);		 /* lets Python take over a descriptor, then closes it */
_Noreturn void message_fail(struct init *init, int error);
int failed(struct init *init, const char *step, long result); /* notes the step, returns the result */

/* path.c: the only way to a file below the container's root */
enum path_kind { PATH_EXISTING, PATH_DIRECTORY, PATH_FILE };
#define PATH_NO_SYMLINKS 1u
int path_open(struct init *init, const char *path, u64 open_flags, u64 resolve);
int path_make(struct init *init, const char *path, enum path_kind kind, u32 flags);
int path_parent(struct init *init, const char *path, char name[NAME_MAX + 1]);
int path_covered(struct init *init, const char *path); /* O_PATH of what is to be masked or made read-only */
bool is_below(const char *path, const char *directory);	 /* in words, or the same */
int open_beneath(int directory, const char *path, u64 open_flags);

/* mount.c */
#define ATTACH_NO_SYMLINKS 1u	/* proc and sysfs: no link on the way, and a directory */
#define ATTACH_ON_PROC 2u	/* the target may lie on procfs (the files that lxcfs covers) */
#define ATTACH_MUST_BE_PROC 4u	/* what goes there must itself be procfs */
#define ATTACH_COPY_UP 8u	/* tmpcopyup */
#define ATTACH_MODE 16u		/* a new tmpfs takes the mode of the directory it covers */
int set_attributes(int mount, const struct attributes *attributes);
int attach_mount(struct init *init, int mount, const char *destination, u32 flags);
int attach_to(int mount, int target);
bool is_type(int fd, i64 magic);

/* idmap.c */
int map_ids(int mount, int user_namespace, bool recursive);

/* copyup.c */
int copy_up(int from, int to);

/* namespace.c */
int guard(void);					 /* against looks from outside, and outliving Python */
int write_value(int directory, const char *path, const char *value, size_t size);
int name_self(int procfs, const char *file, char path[PATH_MAX]);

/* passwd.c */
void passwd_home(int fd, u64 uid, struct text *home);	 /* adds the home directory, if there is one */

/* child.c: a program run by init, for hooks */
struct child_input {
	const char *data;
	size_t size;
};
struct child {
	const char *path;
	const char *const *argv;
	const char *const *envp;
	struct child_input input[3]; /* written to its standard input one after the other */
	u64 timeout_ms;		     /* 0: none */
};
int child_run(struct init *init, const struct child *child);

/* list.c: a list argument as the vector that execve wants */
const char *const *list_vector(const struct argument *list, const char *extra);

#endif
