"""Adds two vectors on each GPU through the driver's own interface, and in managed memory once more.

The kernel is text, which the driver compiles: so its compiler has to be there too. Prints the version of CUDA, and a
line for each GPU; fails on the first wrong sum.
"""

import ctypes
from array import array

COUNT, THREADS = 1 << 20, 256
KERNEL = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry add(.param .u64 first, .param .u64 second, .param .u64 sum, .param .u32 count)
{
    .reg .pred %p;
    .reg .f32 %x, %y;
    .reg .b32 %block, %size, %thread, %index, %count;
    .reg .b64 %a, %b, %c, %offset;
    mov.u32 %block, %ctaid.x;
    mov.u32 %size, %ntid.x;
    mov.u32 %thread, %tid.x;
    mad.lo.u32 %index, %block, %size, %thread;
    ld.param.u32 %count, [count];
    setp.ge.u32 %p, %index, %count;
    @%p bra END;
    ld.param.u64 %a, [first];
    ld.param.u64 %b, [second];
    ld.param.u64 %c, [sum];
    mul.wide.u32 %offset, %index, 4;
    add.u64 %a, %a, %offset;
    add.u64 %b, %b, %offset;
    add.u64 %c, %c, %offset;
    ld.global.f32 %x, [%a];
    ld.global.f32 %y, [%b];
    add.f32 %x, %x, %y;
    st.global.f32 [%c], %x;
END:
    ret;
}
"""

cuda = ctypes.CDLL("libcuda.so.1")


def call(name, *words):
    code = getattr(cuda, name)(*words)
    if code:
        raise SystemExit(f"{name}: error {code}")


def allocate(size, *, managed):
    place = ctypes.c_uint64()
    if managed:
        call("cuMemAllocManaged", ctypes.byref(place), ctypes.c_size_t(size), ctypes.c_uint(1))
    else:
        call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
    return place


def add(function, *, managed):
    size = COUNT * 4
    numbers = [array("f", range(COUNT)), array("f", range(0, 2 * COUNT, 2))]
    places = [allocate(size, managed=managed) for _ in range(3)]
    for place, values in zip(places, numbers, strict=False):
        call("cuMemcpyHtoD_v2", place, ctypes.c_void_p(values.buffer_info()[0]), ctypes.c_size_t(size))
    parameters = [*places, ctypes.c_uint(COUNT)]
    pointers = (ctypes.c_void_p * 4)(*(ctypes.addressof(value) for value in parameters))
    call("cuLaunchKernel", function, COUNT // THREADS, 1, 1, THREADS, 1, 1, 0, None, pointers, None)
    call("cuCtxSynchronize")
    result = array("f", bytes(size))
    call("cuMemcpyDtoH_v2", ctypes.c_void_p(result.buffer_info()[0]), places[2], ctypes.c_size_t(size))
    # all of them are exact: they are below 2 to the 24th
    if result != array("f", range(0, 3 * COUNT, 3)):
        raise SystemExit("a sum is wrong")
    for place in places:
        call("cuMemFree_v2", place)


def main():
    call("cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))
    call("cuDeviceGetCount", ctypes.byref(count))
    print(f"CUDA {version.value // 1000}.{version.value % 1000 // 10}")
    for number in range(count.value):
        device, context, module, function = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        name = ctypes.create_string_buffer(100)
        call("cuDeviceGet", ctypes.byref(device), number)
        call("cuDeviceGetName", name, 100, device)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        call("cuCtxSetCurrent", context)
        call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(KERNEL))
        call("cuModuleGetFunction", ctypes.byref(function), module, b"add")
        add(function, managed=False)
        add(function, managed=True)
        print(f"sums are right on {number}: {name.value.decode()}")


main()
