#!/bin/sh
# Sees to what a target of the Makefile needs from the distribution: setup.sh build|test|clients|check|fuzz|vm ...
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says what that is.
set -eu

packages() {
    case $1 in
        build) echo gcc libc6-dev linux-libc-dev libcap-dev python3-dev python3-venv ;;
        demo) echo busybox-static ;;
        test) echo busybox-static util-linux && { [ "$(id -u)" != 0 ] || packages clients; } ;;
        clients) echo containerd docker.io docker-cli podman netavark buildah runc iptables ;; # only root can run them
        check) echo clang shellcheck ;;
        fuzz) echo clang libclang-rt-dev ;;
        bench) echo busybox-static runc crun time util-linux ;;
        vm) echo qemu-system-x86 qemu-system-common busybox-static kmod zstd xz-utils lz4 ;;
        *) echo "setup.sh: what is $1?" >&2; exit 2 ;;
    esac
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

real_name() {
    case $1 in
        # the name has the version in it
        libclang-rt-dev) apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' ;;
        # older releases have it in docker.io, or not at all
        docker-cli | netavark) if apt-cache show "$1" >/dev/null 2>&1; then echo "$1"; else echo none; fi ;;
        *) echo "$1" ;;
    esac
}

wanted=
for part in "$@"; do
    wanted="$wanted $(packages "$part")"
done
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup.sh: this is not Debian; these packages of Debian, or what corresponds to them, are needed:$wanted" >&2
    exit 0 # what is missing will show
fi
missing() {
    found=
    for package in $wanted; do
        name=$(real_name "$package")
        if [ "$name" = none ]; then
            continue
        fi
        if [ -z "$name" ] || ! is_installed "$name"; then
            found="$found ${name:-$package}"
        fi
    done
    echo "$found"
}
lacking=$(missing)
if [ -z "$lacking" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "setup.sh: missing packages; as root: apt-get install$lacking" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing:$lacking"
apt-get update -q >/dev/null
lacking=$(missing) # now that apt knows the names
# shellcheck disable=SC2086 # words
apt-get install -y -q --no-install-recommends $lacking >/dev/null
