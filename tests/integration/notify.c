/* Sends its arguments to the socket that NOTIFY_SOCKET names, a datagram each (sd_notify(3)); sleeps for "+N" seconds. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (path == NULL || strlen(path) >= sizeof address.sun_path || fd < 0)
		return 3;
	strcpy(address.sun_path, path);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '+')
			sleep((unsigned)atoi(argv[i] + 1));
		else if (sendto(fd, argv[i], strlen(argv[i]), 0, (void *)&address, sizeof address) < 0)
			return 4;
	}
	return 0;
}
