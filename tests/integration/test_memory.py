"""How much memory it takes: a waiting init, a small container, and the commands (the budgets of docs/design.md)."""

import shutil
import subprocess
from pathlib import Path

import pytest

IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
INIT_KIB = 300
PEAK_KIB = 14 * 1024
# one mount of a config: the config as text and as objects, ops, and what is encoded of them
KIB_PER_MOUNT = 5

# A process begins with the peak of the one that it was forked from: so a bare interpreter stands in between, which
# needs less than any command of ours, being all in it.
MEASURE = """
import posix, sys
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ)
_, status, usage = posix.wait4(pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
posix._exit(posix.waitstatus_to_exitcode(status))
"""


def private_memory(pid):
    """Returns what a process shares with no other, in KiB (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def peak(command):
    """Runs a command of the runtime; returns the most memory that it had at one time, in KiB."""
    interpreter = Path(command[0]).read_text().splitlines()[0].removeprefix("#!").split()[0]
    log = Path(command[2]).parent / "measured"
    with log.open("wb") as output:
        done = subprocess.run(
            [interpreter, "-IS", "-c", MEASURE, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            check=False,
        )
    lines = log.read_text().splitlines()
    assert done.returncode == 0, lines
    return int(lines[-1])


def many_mounts(bundle, count):
    (bundle.path / "source").mkdir()
    for number in range(count):
        destination = f"/mounts/{number}"
        bundle.mounts.append(
            {"destination": destination, "type": "bind", "source": "source", "options": ["rbind", "ro", "nosuid"]}
        )


def with_user_namespace(bundle):
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
    for path in (bundle.rootfs, *bundle.rootfs.iterdir()):
        shutil.chown(path, 100000, 100000)


@pytest.mark.parametrize("count", [0, 500])
def test_a_waiting_init_is_small(bundle, runtime, count):
    """In a user namespace, and whatever it had to do before: what it needed for that it has given back."""
    with_user_namespace(bundle)
    many_mounts(bundle, count)
    bundle.config["hooks"] = {
        kind: [{"path": "/bin/true", "args": ["x" * 1000] * 100}] for kind in ("createContainer", "startContainer")
    }
    bundle.process["env"] += [f"NAME{number}={'x' * 1000}" for number in range(100)]
    name, _ = bundle.create()
    assert private_memory(runtime.state(name)["pid"]) <= INIT_KIB


@pytest.fixture(scope="module")
def small_program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.c").write_text(
        '#include <unistd.h>\nint main(void) { return write(1, "ran\\n", 4) == 4 ? 0 : 1; }\n'
    )
    subprocess.run(["cc", "-static", "-Os", "-s", "-o", folder / "small", folder / "small.c"], check=True)
    return folder / "small"


@pytest.mark.parametrize("change", [lambda _: None, with_user_namespace], ids=["plain", "user namespace"])
def test_a_container_of_two_mebibytes(bundle, small_program, change):
    """Init enters the cgroup before it does most of its work, so this is its limit too."""
    change(bundle)
    shutil.copy(small_program, bundle.rootfs / "small")
    bundle.linux["resources"]["memory"] = {"limit": 2 << 20}
    bundle.process["args"] = ["/small"]
    assert bundle.run().out == "ran\n"


def test_a_container_that_has_too_little(bundle):
    """An init that the kernel ends for it is an error that says so, and no wait without end."""
    bundle.linux["resources"]["memory"] = {"limit": 4096}
    bundle.process["args"] = ["true"]
    message = bundle.fails(timeout=20)
    assert "memory limit" in message


def test_peak_of_every_command(bundle, runtime):
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    name = runtime.new_id()
    words = {
        "create": ("--bundle", bundle.path, name),
        "state": (name,),
        "start": (name,),
        "list": (),
        "kill": (name, "KILL"),
        "delete": ("--force", name),
    }
    peaks = {word: peak(runtime.command(word, *rest)) for word, rest in words.items()}
    bundle.process["args"] = ["true"]
    bundle.write()
    peaks["run"] = peak(runtime.command("run", "--bundle", bundle.path, runtime.new_id()))
    peaks["spec"] = peak(runtime.command("spec", "--bundle", bundle.path.parent))
    assert {word: kib for word, kib in peaks.items() if kib > PEAK_KIB} == {}


def test_peak_grows_with_the_config_alone(bundle, make_bundle, runtime):
    """Linear, and not much: a thousand mounts are a config of a hundred kilobytes."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    least = peak(runtime.command("create", "--bundle", bundle.path, runtime.new_id()))
    many = make_bundle("many")
    many_mounts(many, 1000)
    many.write()
    most = peak(runtime.command("create", "--bundle", many.path, runtime.new_id()))
    assert most - least <= 1000 * KIB_PER_MOUNT
    assert most <= PEAK_KIB
