"""A corner of the host for the clients: mount and network namespaces with a /run of their own, and their own cgroups.

What clients write below /run, the networks and firewall rules that they make, and the runtime's default state directory
are therefore not the host's, and whatever is left behind can be told from what was there before.
"""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from calling import ENVIRONMENT, wait_for

CGROUPS = Path("/sys/fs/cgroup")
# hides the host's folders behind empty ones; then the pipe's end is its own end
HOLDER = """
set -e
for folder in /run /var/lib/containers /var/lib/cni /etc/docker /etc/containers/networks; do
    if [ -d $folder ]; then mount -t tmpfs -o mode=755 tmpfs $folder; fi
done
mkdir -p /run/lock "$2/shared"
mount -t tmpfs tmpfs "$2/shared"
mount --make-shared "$2/shared"
"$1" ip link set lo up
for file in passwd group subuid subgid; do
    cp /etc/$file "$2/etc/$file" 2>/dev/null || : > "$2/etc/$file"
    if [ -e /etc/$file ]; then mount --bind "$2/etc/$file" /etc/$file; fi
done
# whose ids a daemon may give to containers
echo clients:x:64321:64321::/:/bin/false >> /etc/passwd
echo clients:x:64321: >> /etc/group
echo clients:100000:65536 | tee -a /etc/subuid >> /etc/subgid
echo ready
exec cat > /dev/null
"""


class Host:
    def __init__(self, busybox):
        # short, since podman allows 50 characters; of letters that a reference of an image may have
        self.place = Path(f"/tmp/clients-{os.getpid()}-{secrets.token_hex(3)}")
        self.place.mkdir()
        self.place.chmod(0o711)  # other users' containers go through it
        self.cgroup = f"test-clients-{os.getpid()}"
        (self.place / "etc").mkdir()
        command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", HOLDER, "sh"]
        self.holder = subprocess.Popen(
            [*command, busybox, str(self.place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert self.holder.stdout.readline() == b"ready\n"

    def inside(self, *command):
        """Returns the command that runs a command in these namespaces."""
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", "--", *map(str, command)]

    def path(self, name):
        """Returns the path by which the tests see what is at `name` in these namespaces."""
        return Path(f"/proc/{self.holder.pid}/root{name}")

    def mounts(self):
        """Returns the mount points in these namespaces."""
        return {line.split()[4] for line in Path(f"/proc/{self.holder.pid}/mountinfo").read_text().splitlines()}

    def processes(self):
        """Returns the pids of all processes in the mount namespace, and their command lines."""
        ours, found = os.readlink(f"/proc/{self.holder.pid}/ns/mnt"), {}
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(number) != self.holder.pid and os.readlink(f"/proc/{number}/ns/mnt") == ours:
                    found[int(number)] = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has just ended
        return {pid: command for pid, command in found.items() if command}  # the dead have none

    def cgroups(self, below=""):
        """Returns the cgroups below ours in all hierarchies, deepest first."""
        tops = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]
        found = []
        for top in tops:
            start = top / self.cgroup / below
            if start.is_dir():
                found += [Path(name) for name, _, _ in os.walk(start, topdown=False)]
        return found

    def cgroups_of(self, identity):
        """Returns the cgroups of a container."""
        return [path for path in self.cgroups() if identity in path.name]

    def states(self):
        """Returns the state directories of containers, in each place where a client has the runtime keep them."""
        places = [self.path("/run/pyruntime"), self.path("/run/runc"), *self.place.glob("*/exec/runtime-*/*")]
        return [path for place in places if place.is_dir() for path in place.iterdir() if path.name != "@seccomp"]

    def close(self):
        """Ends what holds the namespaces. Fails if a process or a container's cgroup is left, which it ends."""
        left = self.processes()
        containers = {path.name for path in self.cgroups() if (path / "cgroup.procs").read_text()} - {self.cgroup}
        members = {int(pid) for path in self.cgroups() for pid in (path / "cgroup.procs").read_text().split()}
        for pid in [*left, *members]:
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
        for pid in [*left, *members]:
            wait_for(lambda pid=pid: is_gone(pid), f"the end of {pid}")
        for path in self.cgroups():
            path.rmdir()
        self.holder.stdin.close()
        self.holder.wait(20)
        self.holder.stdout.close()
        shutil.rmtree(self.place)
        assert not left, left
        assert not containers, containers


def mounted_cgroup(pid, controller):
    """Returns the cgroup of a process for a controller, as a path, and whether it is of version 2 (cgroups(7))."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        if controller in names.split(","):
            return CGROUPS / controller / path.lstrip("/"), False
        if number == "0":
            unified = path.lstrip("/")
    return CGROUPS / unified, True


def limit(pid, controller, first, second):
    """Returns what the file `first` (of version 1) or `second` (of version 2) of a process's cgroup holds."""
    path, is_second = mounted_cgroup(pid, controller)
    return (path / (second if is_second else first)).read_text().strip()


def is_gone(pid):
    """Returns whether a process has ended; one that nobody has waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except OSError:
        return True
