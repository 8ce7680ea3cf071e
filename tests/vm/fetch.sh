#!/bin/bash
# Fetches what vmrun needs: fetch.sh DIRECTORY [full] [6.1]. What is there already is left as it is.
#
# Packages of the distribution are installed where they bring libraries and small tools (install/setup.sh vm). Kernels,
# and a newer qemu where there is one, are only unpacked, below DIRECTORY:
#     q10/        qemu from backports: under emulation programs start in half the time
#     k/VERSION/  a kernel: vmlinux, its modules, for older ones an initrd; k/cloud and so on are links
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin DEBIAN_FRONTEND=noninteractive
here=$(dirname "$(readlink -f "$0")")
home=$1
shift

fetch_qemu() {
    local mirror code options new=$home/q10.new
    [ ! -e "$home/q10" ] || return 0
    # shellcheck source=/dev/null
    code=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # the mirror that apt uses already, with lists of our own
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $code" | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $code-backports main" > "$work/list"
    mkdir -p "$work/lists/partial" "$work/qemu"
    options=(-q -o "Dir::Etc::sourcelist=$work/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o APT::Sandbox::User=root)
    if ! { apt-get "${options[@]}" update && cd "$work/qemu" &&
        apt-get "${options[@]}" download qemu-system-x86 qemu-system-common qemu-system-data; } >> "$work/log" 2>&1; then
        echo "vmrun: no newer qemu in $code-backports; the one that is installed is slower"
        return 0
    fi
    rm -rf "$new"
    for package in "$work/qemu"/*.deb; do
        dpkg -x "$package" "$new"
    done
    mv "$new" "$home/q10"
}

fetch_kernel() { # fetch_kernel NAME
    local package version directory
    case $1 in
        cloud) package=linux-image-6.12-cloud-amd64 ;;
        full) package=linux-image-6.12-amd64 ;;
        6.1) package=linux-image-cloud-amd64 ;;
        *) echo "vmrun: there is no kernel $1 (cloud, full or 6.1)" >&2; exit 2 ;;
    esac
    [ ! -e "$home/k/$1/vmlinux" ] || return 0
    apt-cache show $package > /dev/null 2>&1 || apt-get update -q > /dev/null
    # the package depends on the one for the latest version
    package=$(apt-cache depends $package | awk '/Depends: linux-image/{print $2; exit}')
    version=${package#linux-image-}
    directory=$work/$version
    mkdir "$directory"
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -q "$package" >> "$work/log" 2>&1)
    dpkg -x "$work/$package"_*.deb "$directory"
    unpack_kernel "$directory/boot/vmlinuz-$version" "$directory/vmlinux"
    depmod -b "$directory" "$version"
    unpack_overlay "$directory" "$version"
    grep -q '^CONFIG_VIRTIO_FS=y' "$directory"/boot/config-* || make_initrd "$directory" "$version"
    rm -rf "$home/k/$version"
    mv "$directory" "$home/k/$version"
    ln -sfn "$version" "$home/k/$1"
}

unpack_kernel() { # unpack_kernel BZIMAGE VMLINUX: qemu boots the latter without a decompressor, which emulation makes slow
    # the kernel's x86/boot protocol: where the compressed kernel is, and its size; 4 bytes of length at its end
    python3 - "$1" > "$2.packed" <<'EOF'
import sys
data = open(sys.argv[1], "rb").read()
number = lambda at: int.from_bytes(data[at:at + 4], "little")
start = (data[0x1F1] + 1) * 512 + number(0x248)
sys.stdout.buffer.write(data[start:start + number(0x24C) - 4])
EOF
    case $(od -An -tx1 -N2 "$2.packed") in
        ' 28 b5') zstd -dcq "$2.packed" ;;
        ' fd 37') xz -dcq "$2.packed" ;;
        ' 02 21') lz4 -dcq "$2.packed" ;;
        *) gzip -dcq "$2.packed" ;;
    esac > "$2"
    rm "$2.packed"
}

unpack_overlay() { # the one module that is needed before there is a modprobe
    local module
    module=$(find "$1/lib/modules/$2/kernel/fs/overlayfs" -name 'overlay.ko*')
    case $module in
        '') return 0 ;; # built in
        *.xz) xz -dc "$module" ;;
        *.zst) zstd -dcq "$module" ;;
        *) cat "$module" ;;
    esac > "$1/overlay.ko"
}

make_initrd() { # for kernels that have virtiofs as a module: busybox and the modules
    local tree=$work/initrd module
    mkdir -p "$tree/bin" "$tree/dev" "$tree/new" "$tree/proc"
    cp /bin/busybox "$tree/bin/"
    echo '#!/bin/busybox sh' > "$tree/init"
    modprobe -d "$1" -S "$2" --show-depends -a virtio_pci virtiofs virtio_console |
        awk '$1 == "insmod" && !seen[$2]++ {print $2}' |
        while read -r module; do
            cp "$module" "$tree/"
            echo "insmod /${module##*/}"
        done >> "$tree/init"
    echo '/bin/busybox mount -t virtiofs -o ro root /new && exec /bin/busybox switch_root /new /bin/busybox "$@"' >> "$tree/init"
    chmod +x "$tree/init"
    (cd "$tree" && find . | /bin/busybox cpio -o -H newc 2> /dev/null) > "$1/initrd"
    rm -r "$tree"
}

"$here/../../install/setup.sh" vm
mkdir -p "$home/k"
exec 9> "$home/lock"
flock 9
work=$(mktemp -d "$home/new.XXXXXX")
: > "$work/log"
trap 'rm -rf "$work"' EXIT
trap 'cat "$work/log" >&2' ERR
fetch_qemu
for name in cloud "$@"; do
    fetch_kernel "$name"
done
