/*
 * The handshake. Messages from init are one packet each: kind, op, value, size of the text, text. Python's only answer
 * is one byte: go on. Both sides walk the same plan, so neither says what it is about to do.
 */
#include "init.h"

struct message {
	u32 kind;
	u32 op;
	i32 value;
	u32 size;
	char text[2048];
};

int failed(struct init *init, const char *step, long result)
{
	if (result < 0 && init->detail.used == 0)
		text_string(&init->detail, step);
	return (int)result;
}

static int target(const struct init *init)
{
	return init->socket >= 0 ? init->socket : init->started;
}

int message_send(struct init *init, enum message_kind kind, i32 value)
{
	struct message message;
	size_t size = offsetof(struct message, text);
	long result;

	message.kind = kind;
	message.op = init->index;
	message.value = value;
	message.size = 0;
	if (kind == MESSAGE_ERROR) {
		message.size = (u32)init->detail.used;
		memcpy(message.text, init->detail.data, init->detail.used);
		size += init->detail.used;
	}
	/* without a reader: SIGPIPE ends init, or, where init is pid 1 and immune to it, EPIPE does */
	result = sys_write(target(init), &message, size);
	if (result < 0)
		return (int)result;
	return (size_t)result == size ? 0 : -EIO;
}

int message_wait(struct init *init)
{
	u8 go;
	long result;

	do
		result = sys_read(init->socket, &go, 1);
	while (result == -EINTR);
	if (result < 0)
		return (int)result;
	return result == 1 ? 0 : -EPIPE;
}

/*
 * Python takes it out of this process with pidfd_getfd(2). It cannot be sent: a filter may keep sendmsg(2) waiting for
 * the very agent that this descriptor is for.
 */
int message_offer(struct init *init, int fd)
{
	int result = message_send(init, MESSAGE_OFFER, fd);

	if (result == 0)
		result = message_wait(init);
	sys_close(fd);
	return result;
}

_Noreturn void message_fail(struct init *init, int error)
{
	/* nobody may be left to read it: then there is nobody to tell */
	(void)message_send(init, MESSAGE_ERROR, error);
	sys_exit_group(1);
}
