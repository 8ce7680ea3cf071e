/* Prints what of a process procfs does not show. Built static and put into the container by test_security.py. */
#include <linux/prctl.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	int death = -1;

	prctl(PR_GET_PDEATHSIG, &death);
	printf("securebits %d\n", prctl(PR_GET_SECUREBITS));
	printf("keepcaps %d\n", prctl(PR_GET_KEEPCAPS));
	printf("pdeathsig %d\n", death);
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	printf("subreaper %d\n", prctl(PR_GET_CHILD_SUBREAPER, &death) == 0 ? death : -1);
	printf("personality %d\n", personality(0xffffffff));
	printf("timerslack %d\n", prctl(PR_GET_TIMERSLACK));
	return 0;
}
