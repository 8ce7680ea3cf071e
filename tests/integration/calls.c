/*
 * Makes one system call, given by number with its arguments, and prints what came of it: "ok" or the errno. Without
 * arguments it only says that it runs. It needs no libc, so that a filter has to permit nothing but write and exit_group
 * (and the call itself). Built for a container by tests of filters.
 */
#include <asm/unistd.h>

#if defined(__x86_64__)
static long call(long n, const long *a)
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
static long call(long n, const long *a)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a[0];
	register long x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2];
	register long x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4];
	register long x5 __asm__("x5") = a[5];

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\n bl start\n");
#endif

static unsigned long number(const char *text)
{
	unsigned long value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (unsigned long)(*text++ - '0');
	return value;
}

static void print(const char *text, long size)
{
	long arguments[6] = { 1, (long)text, size, 0, 0, 0 };

	call(__NR_write, arguments);
}

void start(const long *stack);

void start(const long *stack)
{
	long count = stack[0], none[6] = { 0 }, arguments[6] = { 0 };
	const char *const *argv = (const char *const *)(stack + 1);
	char digits[24];
	int at = sizeof digits;
	long result;

	for (long i = 2; i < count && i < 8; i++)
		arguments[i - 2] = (long)number(argv[i]);
	result = count > 1 ? call((long)number(argv[1]), arguments) : 0;
	if (result >= 0 || result < -4095) {
		print("ok\n", 3);
	} else {
		digits[--at] = '\n';
		for (result = -result; result > 0; result /= 10)
			digits[--at] = (char)('0' + result % 10);
		print(digits + at, (long)sizeof digits - at);
	}
	call(__NR_exit_group, none);
}
