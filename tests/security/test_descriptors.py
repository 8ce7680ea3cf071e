"""What a process that is made in a container has of the host: descriptors, directories, its program.

CVE-2016-9962, CVE-2019-5736, CVE-2024-21626.
"""

import hashlib
import os
from pathlib import Path

import pytest
from containers import Refused, capabilities, wait_for

NUMBERS = range(3, 14)


@pytest.fixture
def leak():
    """A descriptor of the host's root that every command inherits, as from a careless caller."""
    fd = os.open("/", os.O_RDONLY)
    os.set_inheritable(fd, True)
    yield fd
    os.close(fd)


def foreign(bundle, text):
    """Returns the names of the host's root in a listing of what should be the container's."""
    return set(text.split()) & set(os.listdir("/")) - set(os.listdir(bundle.rootfs))


# ---- the working directory


def test_working_directory_that_is_a_descriptor(bundle, leak):
    """CVE-2024-21626: `cwd` is a directory that the runtime has open on the host."""
    (bundle.rootfs / "link").symlink_to(f"/proc/self/fd/{leak}")
    for cwd in (*(f"/proc/self/fd/{number}" for number in NUMBERS), f"/proc/self/fd/{leak}/..", "/link"):
        bundle.process["cwd"] = cwd
        try:
            done = bundle.run("pwd; ls -1a ../../../../../..", close_fds=False)
        except Refused:
            continue
        assert not foreign(bundle, done.out), cwd
        assert "(unreachable)" not in done.out, cwd


def test_working_directory_of_exec_that_is_a_descriptor(bundle, runtime, running, leak):
    """CVE-2024-21626, by `exec --cwd`."""
    container = running()
    (bundle.rootfs / "link").symlink_to(f"/proc/self/fd/{leak}")
    script = "pwd; ls -1a ../../../../../.."
    for cwd in (*(f"/proc/self/fd/{number}" for number in NUMBERS), "/link"):
        done = runtime("exec", "--cwd", cwd, container.name, "sh", "-c", script, check=False, close_fds=False)
        assert not foreign(bundle, done.out), cwd
        assert done.code or "(unreachable)" not in done.out, cwd


def test_program_by_way_of_a_descriptor(bundle, runtime, running, tmp_path, leak):
    """CVE-2024-21626: the program is a file of the host, by way of a directory that the runtime has open there."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho of the host\n")
    program.chmod(0o755)
    paths = [f"/proc/self/fd/{number}/{'../' * 12}{str(program)[1:]}" for number in NUMBERS]
    for path in paths[::3]:
        try:
            assert "of the host" not in bundle.run([path], close_fds=False).out, path
        except Refused:
            continue
    container = running()
    for path in paths:
        done = runtime("exec", container.name, path, check=False, close_fds=False)
        assert done.code, path
        assert "of the host\n" not in done.out, path


# ---- descriptors


def test_exec_has_the_standard_streams_alone(runtime, running, leak):
    """CVE-2024-21626: nothing of the runtime's own, and nothing that it has inherited."""
    container = running()
    done = runtime("exec", container.name, "/bin/probe", "descriptors", close_fds=False)
    assert done.out.strip() == "0 1 2"


def test_created_container_has_no_directory_of_the_host(bundle, leak):
    """CVE-2016-9962: while it waits for `start`, which may be for days, others may look at it."""
    container = bundle.create("true", close_fds=False)
    found = {}

    def arranged():
        """`create` may return a moment before the descriptors are closed."""
        for entry in Path(f"/proc/{container.pid}/fd").iterdir():
            found[entry.name] = entry.is_dir(), os.readlink(entry)
        return not any(is_directory for is_directory, _ in found.values())

    try:
        wait_for(lambda: found.clear() or arranged(), "the directories are closed", seconds=1)
    finally:
        assert [path for is_directory, path in found.values() if is_directory] == []


# ---- the program of the runtime


def programs_of_the_host(runtime):
    """What must not be within reach: the runtime, and the interpreter if it has one."""
    found = [runtime.program]
    first = found[0].read_bytes()[:200].partition(b"\n")[0]
    if first.startswith(b"#!"):
        found.append(Path(os.fsdecode(first[2:].split()[0])).resolve())
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("rights", [(), ("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE")], ids=["plain", "ptrace"])
def test_a_spy_in_the_container_learns_nothing_of_exec(bundle, runtime, programs, rights):
    """CVE-2016-9962, CVE-2019-5736: a process of the container watches what `exec` adds, until its program runs.

    It must come to no directory and no file of the host, and to no program of it. With CAP_SYS_PTRACE, and no user
    namespace, it may look at descriptors, but there is no program and no root of the host to be seen either.
    """
    before = {path: digest(path) for path in programs_of_the_host(runtime)}
    bundle.process["capabilities"] = capabilities("CAP_KILL", *rights)
    bundle.file("script", "#!/proc/self/exe\n", 0o755)
    output = bundle.path / "seen"
    with output.open("wb") as stdout:
        container = bundle.create(["witness", "spy", "/stop"], stdout=stdout)
    container.start()
    wait_for(lambda: "spying" in output.read_text(), "the spy is ready")
    for program in ("/bin/true", "/proc/self/exe", "/script") * 5:
        runtime("exec", container.name, program, check=False)
    (bundle.rootfs / "stop").touch()
    assert container.wait() == 0
    container.delete()
    seen = [line.split(maxsplit=3) for line in output.read_text().splitlines()]
    assert ["process"] in seen, "the spy saw nobody"
    assert [found for found in seen if found[0] in ("root", "cwd") and found[2] == "other"] == []
    # the standard streams are the caller's, and a memfd is no file
    further = [found[3] for found in seen if found[:2] == ["fd", "further"] and found[2] in "d-"]
    assert rights or [path for path in further if not path.startswith("/memfd:")] == []
    identities = {f"{path.stat().st_dev}:{path.stat().st_ino}" for path in before}
    assert [found for found in seen if found[1:3] in [[identity, "writable"] for identity in identities]] == []
    assert {path: digest(path) for path in before} == before


def test_the_runtime_does_not_run_itself_in_the_container(bundle, runtime, running):
    """CVE-2019-5736: /proc/self/exe as the program, or as the interpreter of a script."""
    before = {path: digest(path) for path in programs_of_the_host(runtime)}
    bundle.file("script", "#!/proc/self/exe\n", 0o755)
    for program in ("/proc/self/exe", "/script"):
        try:
            done = bundle.run([program])
        except Refused:
            continue
        assert "VERSION" not in done.out, program
    container = running()
    for program in ("/proc/self/exe", "/script"):
        runtime("exec", container.name, program, check=False)
    assert {path: digest(path) for path in before} == before


def test_the_programs_of_the_host_are_not_in_the_container(bundle, runtime):
    """CVE-2019-5736: what waits for `start` in the container is none of them, or one that is mounted read-only."""
    container = bundle.create("true")
    program = f"/proc/{container.pid}/exe"
    for path in programs_of_the_host(runtime):
        assert not os.path.samefile(program, path) or os.statvfs(program).f_flag & os.ST_RDONLY
