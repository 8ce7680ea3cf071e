"""buildah: builds with RUN, and `buildah run`, which polls the state of the container."""

import pytest
from calling import Terminal, need, run


class Buildah:
    """Call it with the words of its command line."""

    def __init__(self, host, runtime):
        self.host, self.runtime, self.place = host, runtime, host.place / "buildah"
        self.place.mkdir(mode=0o711)
        self.flags = [f"--root={self.place}/root", f"--runroot={self.place}/runroot", "--storage-driver=vfs"]

    def command(self, *words):
        environment = ["env", f"CONTAINERS_CONF={self.place}/containers.conf", "BUILDAH_ISOLATION=oci"]
        return self.host.inside(*environment, "buildah", *self.flags, *words)

    def __call__(self, *words, **kwargs):
        return run(*self.command(*words), **kwargs)

    def do(self, *words, **kwargs):
        result = self(*words, **kwargs)
        assert result.code == 0, (words, result)
        return result.out

    def run_words(self, container, *words, flags=()):
        ours = ["--runtime", self.runtime, "--network", "none"]
        return ["run", *ours, *flags, container, "--", *words]

    def run(self, container, *words, flags=(), **kwargs):
        """Runs a program in a working container."""
        return self(*self.run_words(container, *words, flags=flags), **kwargs)

    def build(self, text, *flags):
        """Builds an image from the text of a Dockerfile."""
        folder = self.place / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(text)
        (folder / "file").write_text("of the context\n")
        parent = ["--cgroup-parent", f"/{self.host.cgroup}/buildah", "--ulimit", "nofile=1024:1024"]
        ours = ["--runtime", self.runtime, "--network", "none", *parent, "--ulimit", "nproc=1000:1000"]
        return self("bud", *ours, "--tag", "built", *flags, folder)


@pytest.fixture(scope="module")
def buildah(host, runtime_path, layout):
    need("buildah")
    client = Buildah(host, runtime_path)
    (client.place / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
    )
    client.do("pull", f"oci:{layout}:latest")
    images = client.do("images", "--quiet", "--no-trunc").split()
    client.do("tag", images[0], "localhost/box")
    yield client
    client.do("rm", "--all")
    states = [path for place in ("/run/pyruntime", "/run/runc") for path in host.path(place).glob("buildah-*")]
    assert not states


@pytest.fixture(scope="module")
def working(buildah):
    """A working container."""
    return buildah.do("from", "--pull-never", "localhost/box").strip()


@pytest.mark.parametrize("code", [0, 7])
def test_exit_status(buildah, working, code):
    assert buildah.run(working, "sh", "-c", f"exit {code}").code == code


def test_output(buildah, working):
    """Before standard error buildah prints the runtime's warnings: of ambient capabilities, which it asks for."""
    result = buildah.run(working, "sh", "-c", "echo to out; echo to err >&2")
    assert (result.code, result.out) == (0, "to out\n")
    assert [line for line in result.err.splitlines() if "ambient" not in line] == ["to err"]


def test_standard_input(buildah, working):
    assert buildah.run(working, "cat", stdin="some words\n").out == "some words\n"


def test_what_cannot_run(buildah, working):
    result = buildah.run(working, "nosuch")
    assert result.code != 0
    assert 'exec: "nosuch": executable file not found in $PATH' in result.err.replace('\\"', '"')


def test_user_and_directory(buildah, working):
    flags = ["--user", "1000:1000", "--workingdir", "/home", "--env", "ONE=first"]
    assert buildah.run(working, "sh", "-c", "echo $ONE $PWD $(id -u)", flags=flags).out == "first /home 1000\n"


def test_volume(buildah, working):
    source = buildah.place / "source"
    source.mkdir()
    (source / "file").write_text("of the host\n")
    assert buildah.run(working, "cat", "/mnt/file", flags=["--volume", f"{source}:/mnt:ro"]).out == "of the host\n"


@pytest.mark.parametrize(("flags", "expected"), [(["--cap-add", "CAP_SYS_TIME"], True), ([], False)])
def test_capability(buildah, working, flags, expected):
    status = buildah.run(working, "cat", "/proc/self/status", flags=flags).out
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    assert bool(int(effective, 16) >> 25 & 1) is expected


def test_seccomp(buildah, working):
    assert "Seccomp:\t2" in buildah.run(working, "cat", "/proc/self/status").out


def test_terminal(buildah, working):
    script = "tty; read word; echo got $word; exit 4"
    with Terminal(*buildah.command(*buildah.run_words(working, "sh", "-c", script, flags=["--tty"]))) as tty:
        tty.read("/dev/pts/")
        tty.write("this\n")
        tty.read("got this")
        tty.read()
        assert tty.process.wait(10) == 4


def test_build(buildah):
    text = """FROM localhost/box
ENV ONE=first
WORKDIR /home
COPY file /home/file
RUN echo $ONE > one; cat file >> one
RUN --mount=type=tmpfs,target=/scratch grep ' /scratch tmpfs ' /proc/mounts
USER 1000:1000
RUN id -u > /tmp/uid
"""
    result = buildah.build(text)
    assert result.code == 0, result
    container = buildah.do("from", "--pull-never", "built").strip()
    assert buildah.run(container, "cat", "/home/one", "/tmp/uid").out == "first\nof the context\n1000\n"


def test_build_that_fails(buildah):
    result = buildah.build("FROM localhost/box\nRUN exit 7\n")
    assert result.code != 0
    assert "exit status 7" in result.err


def test_build_with_a_limit(buildah):
    text = "FROM localhost/box\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max || true\n"
    result = buildah.build(text, "--memory", "64m")
    assert result.code == 0, result
    assert str(64 << 20) in result.out
