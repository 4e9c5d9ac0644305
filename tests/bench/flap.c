/*
 * Changes links through rtnetlink as fast as the kernel does it.
 *
 * flap ROUNDS PER_SECOND (flag|queue) INDEX...   0 per second: as fast as it goes
 *
 * flag: every round switches all links down, then up. queue: it changes their txqueuelen twice,
 * the cheapest change that is announced. Prints operations and seconds.
 */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
		struct rtattr attribute;
		unsigned length;
	} m = {
		.header = { .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST },
		.attribute = { .rta_len = 8, .rta_type = IFLA_TXQLEN },
	};
	if (argc < 5)
		return 2;
	long rounds = atol(argv[1]), rate = atol(argv[2]), done = 0;
	int flags = !strcmp(argv[3], "flag");
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	m.header.nlmsg_len = flags ? NLMSG_LENGTH(sizeof m.link) : sizeof m;
	m.link.ifi_change = flags ? IFF_UP : 0;
	double began = now();
	for (long r = 0; r < 2 * rounds; r++)
		for (int a = 4; a < argc; a++, done++) {
			m.link.ifi_index = atoi(argv[a]);
			m.link.ifi_flags = flags && r % 2 ? IFF_UP : 0;
			m.length = 1000 + r % 2;
			if (send(fd, &m, m.header.nlmsg_len, 0) < 0) {
				perror("send");
				return 1;
			}
			while (rate && now() - began < (double)done / rate)
				;
		}
	printf("%ld %.6f\n", done, now() - began);
	return 0;
}
