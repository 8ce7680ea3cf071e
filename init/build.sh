#!/bin/sh
# Builds init: a static program without libc. Usage: build.sh OUTPUT TABLE_HASH [more compiler flags]
set -eu
here=$(dirname "$0")
output=$1 hash=$2
shift 2
case $(${CC:-cc} -dumpmachine) in
    x86_64*) guard=-mstack-protector-guard=global ;; # the others keep it in a global anyway
    *) guard= ;;
esac
exec ${CC:-cc} -std=gnu11 -Os -g0 -s -fPIE -static-pie -nostdlib -ffreestanding -fvisibility=hidden \
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wformat=2 -Wundef \
    -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wno-missing-field-initializers \
    -fstack-protector-strong $guard -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
    -Wl,-z,relro,-z,now,-z,noexecstack,--build-id=none,--no-dynamic-linker,--gc-sections -ffunction-sections \
    "-DTABLE_HASH=$hash" "$@" -o "$output" \
    "$here"/start.c "$here"/main.c "$here"/plan.c "$here"/text.c "$here"/slots.c "$here"/message.c "$here"/list.c \
    "$here"/path.c "$here"/mount.c "$here"/copyup.c "$here"/namespace.c "$here"/root.c "$here"/process.c \
    "$here"/console.c "$here"/child.c "$here"/execute.c
