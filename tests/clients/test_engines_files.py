"""docker and podman: volumes, tmpfs, the read-only root, devices, and copies in and out."""

import os
import stat

import pytest
from calling import run


@pytest.fixture
def folder(host):
    """A folder of the host's, which containers may use."""
    path = host.place / "folder"
    path.mkdir(exist_ok=True)
    (path / "file").write_text("of the host\n")
    return path


def test_volume_that_may_be_written(engine, folder):
    assert engine.shell("cat /data/file; echo new > /data/new", "--volume", f"{folder}:/data") == "of the host\n"
    assert (folder / "new").read_text() == "new\n"


def test_volume_that_may_be_read(engine, folder):
    out = engine.shell("cat /data/file; echo x > /data/other 2>&1 || echo refused", "--volume", f"{folder}:/data:ro")
    assert out.splitlines()[0] == "of the host"
    assert out.splitlines()[-1] == "refused"
    assert not (folder / "other").exists()


def test_volume_that_is_a_file(engine, folder):
    assert engine.shell("cat /etc/plain", "--volume", f"{folder}/file:/etc/plain") == "of the host\n"


def test_volume_of_the_engine(engine):
    """What the image has there is copied into a new volume, and a second container finds what the first wrote."""
    volume = ["--volume", "test-volume:/etc"]
    try:
        assert engine.shell("cat /etc/plain; echo changed > /etc/plain", *volume) == "not a program\n"
        assert engine.shell("cat /etc/plain", *volume) == "changed\n"
    finally:
        engine.do("volume", "rm", "test-volume")


@pytest.mark.parametrize(("propagation", "seen"), [("rslave", "x\n"), ("rprivate", "")])
def test_bind_propagation(engine, host, propagation, seen):
    """A later mount on the host shows in the container, or does not."""
    shared = f"{host.place}/shared"
    mount = f"type=bind,source={shared},target=/data,bind-propagation={propagation}"
    container = engine.start(flags=["--mount", mount])
    assert run(*host.inside("mkdir", "-p", f"{shared}/more")).code == 0
    assert run(*host.inside("mount", "-t", "tmpfs", "tmpfs", f"{shared}/more")).code == 0
    try:
        assert run(*host.inside("sh", "-c", f"echo x > {shared}/more/file")).code == 0
        assert container.exec("cat", "/data/more/file").out == seen
    finally:
        assert run(*host.inside("umount", f"{shared}/more")).code == 0


def test_tmpfs(engine):
    line = engine.shell("grep ' /scratch ' /proc/mounts; echo x > /scratch/x", "--tmpfs", "/scratch:size=1m,mode=1770")
    assert line.startswith("tmpfs /scratch tmpfs rw,")
    assert "size=1024k" in line
    assert "mode=1770" in line


def test_root_that_may_be_read(engine):
    out = engine.shell("(echo x > /x) 2>&1; echo x > /tmp/x && cat /tmp/x", "--read-only", "--tmpfs", "/tmp")
    assert "Read-only file system" in out
    assert out.splitlines()[-1] == "x"


def test_size_of_dev_shm(engine):
    assert "size=2048k" in engine.shell("grep ' /dev/shm ' /proc/mounts", "--shm-size", "2m")


@pytest.fixture
def kmsg(host):
    """A device that containers have not: opening it for writing takes no capability."""
    path = host.place / "kmsg"
    if not path.exists():
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 11))
    return path


def test_device(engine, kmsg):
    out = engine.shell("stat -c %t:%T /dev/ours; : > /dev/ours && echo open", "--device", f"{kmsg}:/dev/ours:rw")
    assert out == "1:b\nopen\n"


def test_device_that_was_not_given(engine):
    out = engine.shell("mknod /dev/ours c 1 11; (: > /dev/ours) 2>&1 || echo refused", "--cap-add", "MKNOD")
    assert "Operation not permitted" in out
    assert out.splitlines()[-1] == "refused"


def test_device_rule(engine):
    flags = ["--cap-add", "MKNOD", "--device-cgroup-rule", "c 1:11 rw"]
    assert engine.shell("mknod /dev/ours c 1 11; : > /dev/ours && echo open", *flags) == "open\n"


def test_usual_devices(engine):
    """null, zero, full, random, urandom and tty are there, and those that can be opened without a terminal open."""
    script = "for name in null zero full random urandom; do : < /dev/$name && echo $name; done; stat -c %F /dev/tty"
    assert engine.shell(script).split() == "null zero full random urandom character special file".split()


def test_copy_in_and_out(engine, folder):
    container = engine.start()
    engine.do("cp", folder / "file", f"{container.name}:/home/copy")
    assert container.exec("cat", "/home/copy").out == "of the host\n"
    container.exec("sh", "-c", "echo changed > /home/copy")
    engine.do("cp", f"{container.name}:/home/copy", folder / "back")
    assert (folder / "back").read_text() == "changed\n"


def test_copy_of_a_container_that_does_not_run(engine, folder):
    container = engine.create("cat", "/home/copy")
    engine.do("cp", folder / "file", f"{container.name}:/home/copy")
    assert engine.do("start", "--attach", container.name) == "of the host\n"
