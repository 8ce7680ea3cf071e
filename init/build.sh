#!/bin/sh
# Builds init: a static program without libc. Usage: build.sh OUTPUT TABLE_HASH [more compiler flags]
set -eu
here=$(dirname "$0")
output=$1 hash=$2
shift 2
macros=$(echo | ${CC:-cc} -dM -E -x c -)
flags=
case $macros in
    *__x86_64__*) flags=-mstack-protector-guard=global ;; # the others keep it in a global anyway
esac
# text.c has the loops that memcpy and memset are: they must not become calls of themselves. For clang
# -fno-builtin says so, for gcc it does not.
case $macros in
    *__clang__*) ;;
    *) flags="$flags -fno-tree-loop-distribute-patterns" ;;
esac
# shellcheck disable=SC2086 # words
exec ${CC:-cc} -std=gnu11 -Os -g0 -s -fPIE -static-pie -nostdlib -ffreestanding -fno-builtin -fvisibility=hidden \
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wformat=2 -Wundef \
    -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wno-missing-field-initializers \
    -fstack-protector-strong -fno-asynchronous-unwind-tables $flags \
    -Wl,-z,relro,-z,now,-z,noexecstack,--build-id=none,--no-dynamic-linker,--gc-sections -ffunction-sections \
    "-DTABLE_HASH=$hash" "$@" -o "$output" "$here"/no-relocations.ld \
    "$here"/start.c "$here"/main.c "$here"/plan.c "$here"/text.c "$here"/slots.c "$here"/message.c "$here"/list.c \
    "$here"/path.c "$here"/mount.c "$here"/copyup.c "$here"/namespace.c "$here"/root.c "$here"/process.c \
    "$here"/console.c "$here"/child.c "$here"/passwd.c "$here"/execute.c "$here"/descriptors.c "$here"/idmap.c \
    "$here"/confine.c "$here"/schedule.c "$here"/network.c "$here"/file.c
