"""docker and podman: many containers at once, and one after another; nothing may be left of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from calling import wait_for


def remains(engine):
    """Returns what is there for containers: mounts, cgroups, state directories and processes."""
    host = engine.host
    mounts = {path for path in host.mounts() if "/netns/" in path or "/containers/" in path or "merged" in path}
    found = {f"mount {path}" for path in mounts}
    found |= {f"cgroup {path}" for path in host.cgroups() if len(path.name) == 64 or "libpod-" in path.name}
    found |= {f"state {path}" for path in host.states()}
    return found | {
        f"process {pid} {command}"
        for pid, command in host.processes().items()
        if "shim" in command or "conmon" in command
    }


@pytest.fixture
def nothing_left(engine):
    before = remains(engine)
    yield
    engine.clean()
    wait_for(lambda: remains(engine) <= before, lambda: f"nothing is left: {remains(engine) - before}")


def test_twenty_at_once(engine, nothing_left):
    with ThreadPoolExecutor(20) as pool:
        containers = list(pool.map(lambda _: engine.start(), range(20)))
        assert list(pool.map(lambda container: container.exec("echo", "hello").out, containers)) == ["hello\n"] * 20
        assert len({container.pid for container in containers}) == 20
    engine.do("kill", *(container.name for container in containers))
    codes = engine.do("wait", *(container.name for container in containers)).split()
    assert codes == ["137"] * 20


def test_one_after_another(engine, nothing_left):
    for number in range(8):
        assert engine.out("echo", str(number)) == f"{number}\n"


def test_removed_while_they_run(engine, nothing_left):
    for _ in range(4):
        container = engine.start(flags=["--memory", "64m"])
        assert engine.remove(container.name).code == 0


def test_that_cannot_start(engine, nothing_left):
    for _ in range(4):
        assert engine.run("/nosuch").code == 127


def test_that_are_never_started(engine, nothing_left):
    for _ in range(4):
        engine.do("rm", engine.create().name)
