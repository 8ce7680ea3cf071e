#!/bin/busybox sh
# shellcheck shell=dash disable=SC2030,SC2031,SC2153
# The VM's pid 1, see README.md. Run by busybox: its applets need no PATH and no exec, which is dear under emulation.
# The kernel makes VMRUN_... of its command line the environment; vmrun says there what is wanted.
set -u

mount_all() { # the root is the host's, read-only; what is written goes to an overlay in memory
    # busybox finds itself as /proc/self/exe
    /bin/busybox mount -t proc proc /proc
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/up /run/work /run/root
    [ ! -e "$VMRUN_K/overlay.ko" ] || insmod "$VMRUN_K/overlay.ko"
    mount -t overlay -o lowerdir=/,upperdir=/run/up,workdir=/run/work overlay /run/root
    cd /run/root || exit
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t sysfs -o nosuid,nodev,noexec sysfs sys
    mount -t devtmpfs -o nosuid devtmpfs dev
    mkdir -p dev/pts dev/shm dev/mqueue lib/modules mnt
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
    mount -t mqueue mqueue dev/mqueue
    mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
    mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate,memory_recursiveprot cgroup2 sys/fs/cgroup
    mount -t securityfs securityfs sys/kernel/security
    mount -t bpf bpf sys/fs/bpf
    # for modprobe
    mount --bind "$VMRUN_K/lib/modules" lib/modules
    ln -sf /proc/self/fd dev/fd
    ln -sf fd/0 dev/stdin
    ln -sf fd/1 dev/stdout
    ln -sf fd/2 dev/stderr
    # for TMPDIR: programs, devices and overlays work there
    mkdir run/tmp
    mount -t tmpfs -o mode=1777 tmpfs run/tmp
    pivot_root . mnt
    umount -l /mnt
    # or systemd thinks that it runs in a container
    rm -f /.dockerenv
}

mount_writable() {
    number=0
    while read -r directory; do
        mount -t virtiofs "rw$number" "$directory"
        number=$((number + 1))
    done < "$VMRUN_DIR/rw"
}

hand_on_controllers() { # hand_on_controllers CGROUP
    # shellcheck disable=SC2013
    for controller in $(cat "$1/cgroup.controllers"); do
        echo "+$controller" > "$1/cgroup.subtree_control"
    done
}

make_cgroups() { # as systemd would have it: all controllers, and no process in the root
    mkdir /sys/fs/cgroup/init.scope /sys/fs/cgroup/vmrun.slice
    echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs
    hand_on_controllers /sys/fs/cgroup
}

run_command() { # runs it and says how it went: on the first port its output, on the second its errors, on the third this
    # a port can be opened once, but /dev/stdout as often as one likes: hence pipes
    mkfifo -m 600 /run/vmrun.out /run/vmrun.err
    cat < /run/vmrun.out > /dev/vport0p1 &
    out=$!
    cat < /run/vmrun.err > /dev/vport0p2 &
    err=$!
    exec 3> /dev/vport0p3
    echo began >&3
    (
        exec 3>&-
        export VMRUN_AS=''
        [ "$VMRUN_SYSTEMD" = 1 ] || echo 0 > /sys/fs/cgroup/vmrun.slice/cgroup.procs
        [ "$VMRUN_USER" = 0 ] || become_user
        exec /bin/bash "$VMRUN_DIR/command"
    ) < /dev/null > /run/vmrun.out 2> /run/vmrun.err
    status=$?
    # the pipes are read to their ends; but a daemon that is left may hold them open, so not for ever
    tries=0
    while [ $tries -lt 20 ] && { [ -e /proc/$out/fd/0 ] || [ -e /proc/$err/fd/0 ]; }; do
        usleep 50000
        tries=$((tries + 1))
    done
    echo $status >&3
}

become_user() { # makes the user, and what a login gives it
    echo "vmuser:*:2000:2000::/run/home:/bin/bash" >> /etc/passwd
    echo "vmuser:x:2000:" >> /etc/group
    echo "vmuser:100000:65536" | tee -a /etc/subuid >> /etc/subgid
    mkdir -p /run/home /run/user
    chown 2000:2000 /run/home
    export HOME=/run/home USER=vmuser LOGNAME=vmuser XDG_RUNTIME_DIR=/run/user/2000
    export VMRUN_AS='/usr/bin/setpriv --reuid=2000 --regid=2000 --clear-groups'
    if [ "$VMRUN_SYSTEMD" = 1 ]; then
        systemctl start user@2000.service
        export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/2000/bus
        return
    fi
    mkdir -m 700 /run/user/2000
    chown 2000:2000 /run/user/2000
    delegated=/sys/fs/cgroup/user.slice
    mkdir $delegated $delegated/session
    hand_on_controllers $delegated
    # what the kernel's documentation says that delegation takes, and no more
    for file in '' /cgroup.procs /cgroup.threads /cgroup.subtree_control; do
        chown 2000:2000 "$delegated$file"
    done
    chown -R 2000:2000 $delegated/session
    echo 0 > $delegated/session/cgroup.procs
}

become_systemd() { # with the units that D-Bus, logind and user managers need, and no others: no journald, no udev
    units=/lib/systemd/system
    mkdir -p /run/units /run/dbus /run/lock
    cd $units || exit
    cp -a dbus.service dbus.socket systemd-logind.service user@.service user@.service.d user-runtime-dir@.service \
        user-.slice.d user.slice machine.slice sysinit.target basic.target sockets.target shutdown.target umount.target \
        final.target slices.target paths.target timers.target local-fs.target poweroff.target systemd-poweroff.service \
        /run/units/
    cd / || exit
    printf '%s\n' '[Unit]' 'Requires=dbus.socket vmrun.service' 'Wants=systemd-logind.service' > /run/units/vmrun.target
    printf '%s\n' '[Unit]' 'After=dbus.socket' 'SuccessAction=poweroff-immediate' 'FailureAction=poweroff-immediate' \
        '[Service]' "ExecStart=/bin/busybox sh $1 run_command" 'KillMode=process' 'TasksMax=infinity' \
        'LimitNOFILE=1048576' 'StandardOutput=null' "Environment=VMRUN_DIR=$VMRUN_DIR VMRUN_SYSTEMD=1 VMRUN_USER=$VMRUN_USER" \
        > /run/units/vmrun.service
    mount --bind /run/units $units
    mount -t tmpfs tmpfs /etc/systemd/system
    for kind in system-generators user-generators user-environment-generators; do
        mount -t tmpfs tmpfs "/lib/systemd/$kind"
    done
    [ -s /etc/machine-id ] || tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
    exec /lib/systemd/systemd --unit=vmrun.target --show-status=0 --log-target=kmsg --log-level=warning
}

if [ "${1:-}" = run_command ]; then
    run_command
    exit 0
fi
mount_all
ip link set lo up
hostname vmrun
mount_writable
[ "$VMRUN_SYSTEMD" = 0 ] || become_systemd "$0"
make_cgroups
run_command
echo o > /proc/sysrq-trigger
while :; do
    sleep 60
done
