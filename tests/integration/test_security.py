"""What a hostile image or a hostile neighbour might try, and what is left in the program from setting it up."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ALL = ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_CHROOT", "CAP_MKNOD"]


@pytest.fixture
def outside(tmp_path):
    """A directory of the host that nothing may reach, by whatever link the image has; checked afterwards."""
    path = tmp_path / "outside"
    (path / "pts").mkdir(parents=True)
    (path / "file").write_text("the host's\n")
    os.chmod(path / "file", 0o640)
    before = snapshot(path)
    yield path
    assert snapshot(path) == before
    assert str(path) not in Path("/proc/self/mountinfo").read_text()


def snapshot(path):
    return sorted(
        (str(entry), entry.lstat().st_mode, entry.lstat().st_uid, entry.lstat().st_size, entry.lstat().st_mtime_ns)
        for entry in (path, *path.rglob("*"))
    )


def links_to(outside, depth=12):
    """The ways to say it: absolute, and by climbing further than there is to climb."""
    return [str(outside), "../" * depth + str(outside)[1:]]


# ---- what is left in the program


@pytest.fixture(scope="module")
def attributes(tmp_path_factory):
    program = tmp_path_factory.mktemp("attributes") / "attributes"
    subprocess.run(["cc", "-static", "-O", "-o", program, HERE / "attributes.c"], check=True)
    return program


@pytest.mark.parametrize("uid", [0, 1000])
def test_attributes_are_those_of_a_new_process(bundle, attributes, uid):
    """Keeping capabilities over setuid, dying with the parent, being undumpable: all tools of ours, none of its own."""
    (bundle.rootfs / "attributes").write_bytes(attributes.read_bytes())
    (bundle.rootfs / "attributes").chmod(0o755)
    bundle.process.update(args=["/attributes"], user={"uid": uid, "gid": uid})
    found = dict(line.split() for line in bundle.run().out.splitlines())
    assert found == {
        "securebits": "0",
        "keepcaps": "0",
        "pdeathsig": "0",
        "dumpable": "1",
        "subreaper": "0",
        "personality": "0",
        "timerslack": "50000",
    }


def test_created_init_holds_no_descriptor_of_the_host(bundle, runtime):
    """While it waits it has the streams and two fifos: no directory, nothing that can be written to but those."""
    bundle.process["args"] = ["sleep", "1000"]
    with open("/dev/null") as null:
        name, _ = bundle.create(stdin=null, stdout=null, stderr=null)
    folder = Path(f"/proc/{runtime.state(name)['pid']}/fd")
    deadline = time.monotonic() + 5
    while len(list(folder.iterdir())) > 5 and time.monotonic() < deadline:
        time.sleep(0.01)  # `create` may return a moment before init waits
    found = {int(fd.name): os.readlink(fd) for fd in folder.iterdir()}
    assert [found.pop(fd) for fd in range(3)] == ["/dev/null"] * 3
    assert sorted(found.values()) == [f"{runtime.root}/{name}/start", f"{runtime.root}/{name}/started"]


def test_created_init_has_no_environment_and_no_host_directory(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create(env={"SECRET": "of the caller"})
    process = Path(f"/proc/{runtime.state(name)['pid']}")
    assert (process / "environ").read_bytes() == b""
    assert sorted(os.listdir(process / "root")) == sorted(os.listdir(bundle.rootfs))
    assert os.stat(process / "cwd").st_ino == os.stat(process / "root").st_ino


@pytest.mark.parametrize("waiting", [True, False])
def test_init_cannot_be_overwritten(bundle, make_bundle, runtime, waiting):
    """CVE-2019-5736: /proc/<pid>/exe of the runtime, opened for writing by somebody with every right in there."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    pid = runtime.state(name)["pid"]
    if not waiting:
        runtime("start", name)
    neighbour = make_bundle("neighbour")
    neighbour.namespace("pid", f"/proc/{pid}/ns/pid")
    neighbour.process["capabilities"] = dict.fromkeys(("bounding", "permitted", "effective"), ALL)
    script = "echo > /proc/1/exe; exec 3>>/proc/1/exe; dd if=/dev/zero of=/proc/1/exe conv=notrunc count=1"
    neighbour.run(script, check=False)
    if waiting:
        with pytest.raises(OSError, match=r"busy|not permitted"):
            os.open(f"/proc/{pid}/exe", os.O_WRONLY)
        runtime("start", name)
    runtime.wait_status(name, "running")


@pytest.mark.parametrize("program", ["/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3"])
def test_the_runtime_is_not_a_program_for_the_container(bundle, program):
    """CVE-2019-5736, the other half: making the runtime run itself inside. What it finds there is init, which ends."""
    bundle.process["args"] = [program]
    result = bundle.run(check=False)
    assert result.code != 0
    assert bundle.run("true").code == 0


# ---- the way out through the working directory


@pytest.mark.parametrize("number", [3, 5, 6, 7, 8, 9, 10, 12, 15])
@pytest.mark.parametrize("form", ["/proc/self/fd/{}", "/proc/1/fd/{}/../..", "/link"])
def test_working_directory_stays_inside(bundle, form, number):
    """CVE-2024-21626: a descriptor of the runtime's as working directory leads to the host."""
    (bundle.rootfs / "link").symlink_to(f"/proc/self/fd/{number}")
    bundle.process["cwd"] = form.format(number)
    host = os.open("/", os.O_RDONLY)
    os.set_inheritable(host, True)
    try:
        result = bundle.run("ls -a . .. ../.. ../../..; pwd", check=False, close_fds=False)
    finally:
        os.close(host)
    assert "config.json" not in result.out
    assert "boot" not in result.out
    assert result.code == 1 or "(unreachable)" not in result.out


@pytest.mark.parametrize("at", range(2))
def test_missing_working_directory_is_made_inside(bundle, outside, at):
    (bundle.rootfs / "link").symlink_to(links_to(outside)[at])
    bundle.process["cwd"] = "/link/made"
    assert bundle.run("pwd -P").out == f"{outside}/made\n"


# ---- links in the image, for everything that is made or mounted at a path


def pseudo_terminal(bundle):
    """Asks for a terminal, which is put at /dev/console."""
    bundle.process["terminal"] = True


HOSTILE = {
    "bind a directory": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/sub", "type": "bind", "source": "/usr", "options": ["bind", "ro"]}
    ),
    "bind a file": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/file", "type": "bind", "source": "/etc/passwd", "options": ["bind", "ro"]}
    ),
    "tmpfs on the link": lambda config, path: config["mounts"].append(
        {"destination": path, "type": "tmpfs", "source": "tmpfs"}
    ),
    "tmpfs below": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/new/deep", "type": "tmpfs", "source": "tmpfs"}
    ),
    "copy up": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/pts", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    ),
    "device": lambda config, path: (
        config["linux"]
        .setdefault("devices", [])
        .append({"path": f"{path}/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666})
    ),
    "device on a file": lambda config, path: (
        config["linux"]
        .setdefault("devices", [])
        .append({"path": f"{path}/pts/x", "type": "p", "fileMode": 0o777, "uid": 1000, "gid": 1000})
    ),
    "masked file": lambda config, path: config["linux"]["maskedPaths"].append(f"{path}/file"),
    "masked directory": lambda config, path: config["linux"]["maskedPaths"].append(path),
    "read-only path": lambda config, path: config["linux"]["readonlyPaths"].append(path),
    "cgroup": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    ),
    "mqueue": lambda config, path: config["mounts"].append(
        {"destination": f"{path}/mqueue", "type": "mqueue", "source": "mqueue"}
    ),
}


@pytest.mark.parametrize("at", range(2))
@pytest.mark.parametrize("what", HOSTILE)
def test_a_link_in_the_image_leads_nowhere_outside(bundle, outside, what, at):
    """One resolver walks every path of the image, with the container's root as its root."""
    (bundle.rootfs / "evil").symlink_to(links_to(outside)[at])
    HOSTILE[what](bundle.config, "/evil")
    result = bundle.run("cat /evil/file", check=False)
    assert "the host's" not in result.out


@pytest.mark.parametrize("name", ["null", "console", "ptmx", "pts", "fd", "stdin", "shm", "mqueue"])
def test_dev_of_the_image_is_not_believed(bundle, outside, name):
    """CVE-2025-31133, CVE-2025-52565: /dev as the image has it, with links where devices go."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    (bundle.rootfs / "dev" / name).symlink_to(f"{outside}/file")
    bundle.linux["maskedPaths"].append("/etc/passwd")
    result = bundle.run("cat /etc/passwd /dev/null; cat < /dev/stdin", check=False)
    assert "the host's" not in result.out
    assert "root:x" not in result.out


def test_a_terminal_whose_console_is_a_link(bundle, outside, tmp_path):
    """CVE-2025-52565: the terminal is mounted on /dev/console, which the image makes a link to somewhere else."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    (bundle.rootfs / "dev/console").symlink_to(f"{outside}/file")
    pseudo_terminal(bundle)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        bundle.create("--console-socket", tmp_path / "console", check=False)


def test_ptmx_of_the_image_is_not_opened(bundle, tmp_path):
    """A terminal comes from a devpts that is one, whatever lies at /dev/ptmx."""
    bundle.mounts[:] = [mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")]
    (bundle.rootfs / "dev/pts").mkdir()
    (bundle.rootfs / "dev/pts/ptmx").write_text("mine")
    pseudo_terminal(bundle)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        message = bundle.fails("--console-socket", tmp_path / "console")
    assert "console" in message
    assert (bundle.rootfs / "dev/pts/ptmx").read_text() == "mine"


# ---- procfs that is not what it seems


def test_sysctl_does_not_go_through_the_containers_proc(bundle):
    """CVE-2025-52881: writes meant for sysctls must not be led to another file by what is mounted over /proc."""
    bundle.mounts[0]["destination"] = "/mnt"
    for name in ("net/ipv4/ip_forward", "kernel/shm_rmid_forced"):
        (bundle.rootfs / "proc/sys" / name).parent.mkdir(parents=True)
        (bundle.rootfs / "proc/sys" / name).write_text("the image's\n")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    out = bundle.run(
        "cat /mnt/sys/net/ipv4/ip_forward /mnt/sys/kernel/shm_rmid_forced; cat /proc/sys/*/*/ip_forward"
    ).out
    assert out == "1\n1\nthe image's\n"


def test_no_sysctl_by_climbing(bundle):
    for key in ("net.ipv4/../../kernel/panic", "net/../kernel/panic", "net..", "kernel.panic", "net.ipv4.ip_forward/"):
        bundle.linux["sysctl"] = {key: "1"}
        assert "linux.sysctl" in bundle.fails()


def test_session_of_a_neighbour_cannot_see_into_init(bundle, make_bundle, runtime):
    """A process in the same pid namespace, as an ordinary user, learns nothing of an init that waits."""
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    neighbour = make_bundle("neighbour")
    neighbour.namespace("pid", f"/proc/{runtime.state(name)['pid']}/ns/pid")
    neighbour.process["user"] = {"uid": 1000, "gid": 1000}
    script = "for f in fd exe root cwd; do ls -l /proc/1/$f; done; cat /proc/1/environ /proc/1/maps"
    out = neighbour.run(f"({script}) 2>&1; true").out
    assert "->" not in out
    assert out.count("ermission denied") >= 3
