"""linux.namespaces: new, joined by path, inherited; user namespaces and their maps; time; and what depends on them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

FILES = {
    "pid": "pid",
    "network": "net",
    "mount": "mnt",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}


def own(kind):
    return os.readlink(f"/proc/self/ns/{FILES[kind]}")


def inside(bundle, kind):
    return bundle.run(f"readlink /proc/self/ns/{FILES[kind]}").out.strip()


def map_ids(bundle, host=100000, size=65536):
    """Maps the container's ids to unprivileged ones and gives it the root directory."""
    bundle.namespace("user")
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": host, "size": size}]
    bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": host, "size": size}]
    subprocess.run(["chown", "-hR", f"{host}:{host}", str(bundle.rootfs)], check=True)
    for folder in [bundle.path, *bundle.path.parents]:
        if str(folder).startswith("/tmp/pytest"):
            folder.chmod(0o755)


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("user", "mount")])
def test_new_and_inherited(bundle, kind):
    bundle.namespace(kind)
    assert inside(bundle, kind) != own(kind)
    bundle.namespace(kind, False)
    if kind == "uts":
        del bundle.config["hostname"]
    if kind == "ipc":
        bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/dev/mqueue"]
    if kind == "network":
        bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/sys"]
        bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] != "/sys/fs/cgroup"]
    assert inside(bundle, kind) == own(kind)


def test_new_mount_namespace(bundle):
    assert inside(bundle, "mount") != own("mount")


@pytest.fixture
def stranger():
    """A process in new namespaces of every type but user, to join."""
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--net", "--ipc", "--uts", "--cgroup", "--mount", "--time", "sleep", "1000"]
    )
    time.sleep(0.3)
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().strip()
    yield child
    os.kill(int(child), 9)
    process.wait()


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("user", "mount")])
def test_joined(bundle, stranger, kind):
    path = f"/proc/{stranger}/ns/{FILES[kind]}"
    bundle.namespace(kind, path)
    assert inside(bundle, kind) == os.readlink(path)


def test_joined_mount_namespace(bundle, stranger):
    """Mounts are made in the namespace that is joined, and its root is changed."""
    path = f"/proc/{stranger}/ns/mnt"
    bundle.namespace("mount", path)
    assert bundle.run("readlink /proc/self/ns/mnt; cat /etc/passwd | head -1").out.splitlines() == [
        os.readlink(path),
        "root:x:0:0:root:/root:/bin/sh",
    ]


def test_the_own_namespace_by_path(bundle):
    """Joining where one is means staying, not changing the root of the host."""
    bundle.namespace("mount", "/proc/self/ns/mnt")
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.mounts.clear()
    before = os.stat("/")
    assert bundle.run("echo here").out == "here\n"
    assert os.stat("/").st_ino == before.st_ino
    bundle.namespace("network", "/proc/self/ns/net")
    assert bundle.run("echo here").out == "here\n"


@pytest.mark.parametrize(
    ("kind", "path", "text"),
    [
        ("network", "/proc/self/ns/uts", "not a namespace of that type"),
        ("network", "/etc/passwd", "not a namespace of that type"),
        ("network", "/nosuch", "no such file or directory"),
        ("network", "relative", '"relative" is not an absolute path'),
    ],
)
def test_bad_paths(bundle, kind, path, text):
    bundle.namespace(kind, path)
    message = bundle.fails()
    assert text in message
    assert "linux.namespaces[" in message


def test_duplicates(bundle):
    bundle.linux["namespaces"].append({"type": "uts"})
    assert 'the type "uts" occurs twice' in bundle.fails()


def test_user_namespace(bundle):
    map_ids(bundle)
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    out = bundle.run("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; id -G; stat -c %u /bin/busybox").out
    assert [line.split() for line in out.splitlines()] == [
        ["0", "100000", "65536"],
        ["0", "100000", "65536"],
        ["1000"],
        ["1000"],
        ["1000", "5"],
        ["0"],
    ]


def test_user_namespace_as_the_host_sees_it(bundle, runtime):
    map_ids(bundle)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    runtime("start", name)
    time.sleep(0.1)
    pid = runtime.state(name)["pid"]
    assert os.stat(f"/proc/{pid}").st_uid == 101000


def test_devices_in_a_user_namespace(bundle):
    """They cannot be made there, so the host's are shown."""
    map_ids(bundle)
    out = bundle.run("echo x > /dev/null; head -c 4 /dev/zero | wc -c; ls -l /dev/full | cut -c1; ls /dev | sort").out
    assert out.split()[:2] == ["4", "c"]
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin"} <= set(out.split())


def test_masks_and_binds_in_a_user_namespace(bundle, tmp_path):
    map_ids(bundle)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "data").mkdir(mode=0o755)
    (closed / "data/x").write_text("through a door that only root may open\n")
    bundle.mounts.append(
        {"destination": "/data", "type": "none", "source": str(closed / "data"), "options": ["rbind", "ro"]}
    )
    out = bundle.run("cat /data/x; touch /data/y 2>/dev/null || echo read-only; cat /proc/kcore | wc -c").out
    assert out == "through a door that only root may open\nread-only\n0\n"


def test_sysctls_in_a_user_namespace(bundle):
    map_ids(bundle)
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"}
    assert bundle.run("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax").out == "1\n4096\n"


def test_user_namespace_joined(bundle):
    map_ids(bundle)
    holder = subprocess.Popen(["unshare", "--user", "sleep", "1000"])
    try:
        time.sleep(0.3)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{holder.pid}/{name}", "w") as file:
                file.write("0 100000 65536")
        bundle.namespace("user", f"/proc/{holder.pid}/ns/user")
        del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
        out = bundle.run("readlink /proc/self/ns/user; id -u").out
        assert out.splitlines() == [os.readlink(f"/proc/{holder.pid}/ns/user"), "0"]
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda linux: linux.pop("gidMappings"), "linux.gidMappings: a new user namespace needs a mapping"),
        (lambda linux: linux["uidMappings"][0].update(containerID=1), "id 0 of the container is not mapped"),
        (lambda linux: linux["uidMappings"].append({"containerID": 5, "hostID": 1, "size": 1}), "overlaps with"),
        (
            lambda linux: linux["uidMappings"].append({"containerID": 4294967295, "hostID": 1, "size": 2}),
            "reaches beyond",
        ),
        (lambda linux: linux["uidMappings"][0].update(size=0), "0 is not in range"),
    ],
)
def test_bad_maps(bundle, change, text):
    map_ids(bundle)
    change(bundle.linux)
    assert text in bundle.fails()


def test_maps_without_the_namespace(bundle):
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    assert "User namespace mappings specified, but user namespace isn't enabled" in bundle.fails()


def test_an_id_that_is_not_mapped(bundle):
    map_ids(bundle, size=100)
    bundle.process["user"] = {"uid": 1000, "gid": 0}
    message = bundle.fails()
    assert "process.user: identity 1000:0: setresuid: invalid argument" in message
    assert "the id is not mapped in the user namespace" in message


def test_cgroup_namespace_begins_at_the_own_cgroup(bundle):
    bundle.namespace("cgroup")
    assert {line.split(":", 2)[2] for line in bundle.run("cat /proc/self/cgroup").out.splitlines()} == {"/"}


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("net.ipv4.ip_forward", "1", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/lo/forwarding", "1", "net/ipv4/conf/lo/forwarding"),
        ("kernel.shmmax", "123456", "kernel/shmmax"),
        ("kernel.sem", "250 32000 32 128", "kernel/sem"),
        ("fs.mqueue.msg_max", "20", "fs/mqueue/msg_max"),
        ("kernel.domainname", "example", "kernel/domainname"),
    ],
)
def test_sysctls(bundle, key, value, path):
    bundle.linux["sysctl"] = {key: value}
    with open(f"/proc/sys/{path}") as file:
        before = file.read()
    assert bundle.run(f"cat /proc/sys/{path}").out.split() == value.split()
    with open(f"/proc/sys/{path}") as file:
        assert file.read() == before


@pytest.mark.parametrize(
    ("key", "namespace", "text"),
    [
        ("net.ipv4.ip_forward", "network", "not allowed in host network namespace"),
        ("kernel.shmmax", "ipc", "is not allowed in the hosts ipc namespace"),
        ("kernel.hostname", None, "conflicts with the OCI"),
        ("kernel.core_pattern", None, "is not in a separate kernel namespace"),
        ("vm.swappiness", None, "is not in a separate kernel namespace"),
        ("user.max_user_namespaces", None, "setting ucounts without a user namespace not allowed"),
        ("net.ipv4/../../kernel/core_pattern", None, "is not the name of a sysctl"),
        ("net..ipv4", None, "is not the name of a sysctl"),
        ("/kernel/core_pattern", None, "is not the name of a sysctl"),
        ("net.ipv4.nosuch", None, "no such file or directory"),
    ],
)
def test_sysctls_that_would_change_the_host(bundle, key, namespace, text):
    if namespace:
        bundle.namespace(namespace, False)
        bundle.mounts[:] = [
            mount for mount in bundle.mounts if mount["destination"] not in ("/sys", "/dev/mqueue", "/sys/fs/cgroup")
        ]
    bundle.linux["sysctl"] = {key: "1"}
    message = bundle.fails()
    assert text in message
    assert "linux.sysctl[" in message


def test_sysctl_of_the_own_network_by_path(bundle):
    """A path to the runtime's own namespace is the host's network, whatever it looks like."""
    bundle.namespace("network", "/proc/self/ns/net")
    bundle.mounts[:] = [mount for mount in bundle.mounts if mount["destination"] not in ("/sys", "/sys/fs/cgroup")]
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert "not allowed in host network namespace" in bundle.fails()
