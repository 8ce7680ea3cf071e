/* The network namespace: its own loopback device, and a socket for Python, which moves other devices in. */
#include "init.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

/* A new namespace has a loopback device that is down, and programs take 127.0.0.1 for granted (netdevice(7)). */
int op_loopback(struct init *init, const struct op *op)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = (int)sys_socket(AF_UNIX_DOMAIN, SOCK_DGRAM_TYPE | SOCK_CLOEXEC_FLAG, 0);
	long result;

	(void)op;
	if (fd < 0)
		return failed(init, "socket", fd);
	result = failed(init, "get its flags", sys_ioctl(fd, SIOCGIFFLAGS, &request));
	if (result == 0) {
		request.ifr_flags |= IFF_UP;
		result = failed(init, "set it up", sys_ioctl(fd, SIOCSIFFLAGS, &request));
	}
	sys_close(fd);
	return (int)result;
}

/* Whoever has this socket can set up the namespace that it was made in, without entering it (rtnetlink(7)). */
int op_netlink(struct init *init, const struct op *op)
{
	int fd = (int)sys_socket(AF_NETLINK_DOMAIN, SOCK_DGRAM_TYPE | SOCK_CLOEXEC_FLAG, NETLINK_ROUTE);

	(void)op;
	return fd < 0 ? failed(init, "socket", fd) : message_offer(init, fd);
}
