"""Declares the C libraries that pyruntime calls, and writes the module that cffi loads them through.

cffi's ABI mode, out of line: the declarations are parsed here, when pyruntime is built, and the library is looked for
when it is first needed. No compiler is involved, and no header of the library.
"""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from cffi import FFI

# seccomp.h of libseccomp 2.5; and of libc, what asks the kernel what it knows
LIBSECCOMP = """
typedef void *scmp_filter_ctx;
struct scmp_version {
    unsigned int major;
    unsigned int minor;
    unsigned int micro;
};
struct scmp_arg_cmp {
    unsigned int arg;
    int op;
    uint64_t datum_a;
    uint64_t datum_b;
};
const struct scmp_version *seccomp_version(void);
unsigned int seccomp_api_get(void);
scmp_filter_ctx seccomp_init(uint32_t def_action);
void seccomp_release(scmp_filter_ctx ctx);
uint32_t seccomp_arch_native(void);
uint32_t seccomp_arch_resolve_name(const char *arch_name);
int seccomp_arch_add(scmp_filter_ctx ctx, uint32_t arch_token);
int seccomp_attr_set(scmp_filter_ctx ctx, int attr, uint32_t value);
int seccomp_syscall_resolve_name(const char *name);
int seccomp_syscall_resolve_name_arch(uint32_t arch_token, const char *name);
int seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int syscall, unsigned int arg_cnt,
                           const struct scmp_arg_cmp *arg_array);
int seccomp_export_bpf(scmp_filter_ctx ctx, int fd);
long syscall(long number, ...);
"""


def write_bindings(package: Path) -> None:
    """Writes run/_libseccomp.py into the package directory."""
    ffi = FFI()
    ffi.cdef(LIBSECCOMP)
    ffi.set_source("pyruntime.run._libseccomp", None)
    target = package / "run" / "_libseccomp.py"
    made = target.with_suffix(".new")
    with redirect_stdout(StringIO()):  # it says what it does
        ffi.emit_python_code(str(made))
    if target.exists() and target.read_bytes() == made.read_bytes():
        made.unlink()
    else:
        made.replace(target)
