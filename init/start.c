/* Where the kernel enters, and the stack protector's guard: the two things libc would have brought. */
#include "sys.h"
#include "text.h"

#include <linux/auxvec.h>

_Noreturn void init_main(int argc, const char *const *argv);
_Noreturn void start_c(const u64 *stack);
_Noreturn void __stack_chk_fail(void);

u64 __stack_chk_guard;

#if defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start_c\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl start_c\n");
#endif

_Noreturn void __stack_chk_fail(void)
{
	static const char message[] = "pyruntime-init: the stack was overwritten\n";

	(void)sys_write(2, message, sizeof message - 1);
	sys_exit_group(134);
}

/* The stack at entry: argc, argv, NULL, envp, NULL, auxiliary vector. */
__attribute__((no_stack_protector)) _Noreturn void start_c(const u64 *stack)
{
	int argc = (int)stack[0];
	const char *const *argv = (const char *const *)(const void *)(stack + 1);
	const u64 *auxiliary = stack + 1 + argc + 1;

	while (*auxiliary != 0)
		auxiliary++;
	for (auxiliary++; auxiliary[0] != AT_NULL; auxiliary += 2)
		if (auxiliary[0] == AT_RANDOM)
			memcpy(&__stack_chk_guard, (const void *)(uintptr_t)auxiliary[1], sizeof __stack_chk_guard);
	init_main(argc, argv);
}
