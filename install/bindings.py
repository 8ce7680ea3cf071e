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

# nvml.h of NVIDIA's driver: the functions that edits/nvidia/nvml.py calls
NVML = """
typedef struct {
    char busIdLegacy[16];
    unsigned int domain;
    unsigned int bus;
    unsigned int device;
    unsigned int pciDeviceId;
    unsigned int pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;
const char *nvmlErrorString(int result);
int nvmlInitWithFlags(unsigned int flags);
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *version, unsigned int length);
int nvmlSystemGetCudaDriverVersion_v2(int *version);
int nvmlDeviceGetCount_v2(unsigned int *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device);
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int length);
int nvmlDeviceGetName(void *device, char *name, unsigned int length);
int nvmlDeviceGetMinorNumber(void *device, unsigned int *minor);
int nvmlDeviceGetPciInfo_v3(void *device, nvmlPciInfo_t *pci);
int nvmlDeviceGetBrand(void *device, int *brand);
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count);
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **mig);
int nvmlDeviceGetGpuInstanceId(void *device, unsigned int *id);
int nvmlDeviceGetComputeInstanceId(void *device, unsigned int *id);
"""

# what the hooks need of the kernel (hooks/kernel.py)
LIBC = """
long syscall(long number, ...);
"""

MODULES = {"run._libseccomp": LIBSECCOMP, "edits.nvidia._nvml": NVML, "hooks._libc": LIBC}


def write_bindings(package: Path) -> None:
    """Writes run/_libseccomp.py, edits/nvidia/_nvml.py and hooks/_libc.py into the package directory."""
    for name, declarations in MODULES.items():
        write_module(package / f"{name.replace('.', '/')}.py", f"pyruntime.{name}", declarations)


def write_module(target: Path, name: str, declarations: str) -> None:
    """Writes one module, unless it is there as it should be."""
    ffi = FFI()
    ffi.cdef(declarations)
    ffi.set_source(name, None)
    made = target.with_suffix(".new")
    with redirect_stdout(StringIO()):  # it says what it does
        ffi.emit_python_code(str(made))
    if target.exists() and target.read_bytes() == made.read_bytes():
        made.unlink()
    else:
        made.replace(target)
