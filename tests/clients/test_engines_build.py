"""docker (its classic builder) and podman: builds from a local image, and images of containers."""

import pytest


@pytest.fixture
def build(engine, host):
    folder = host.place / "context"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("of the context\n")

    def build(text, *flags):
        (folder / "Dockerfile").write_text(text)
        flags = ["--network", "none", "--tag", "built", *flags]
        if engine.name == "podman":
            flags += ["--cgroup-parent", f"/{host.cgroup}/podman"]
            flags += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
        return engine("build", *flags, folder)

    yield build
    engine("image", "rm", "--force", "built")


def run_built(engine, *words):
    name = engine.new_name()
    return engine.do("run", "--rm", "--name", name, "--network", "none", "built", *words)


def test_build(engine, build):
    text = f"""FROM {engine.image}
ENV ONE=first
WORKDIR /home
COPY file /home/file
RUN echo $ONE > one; cat file >> one
USER 1000:1000
RUN id -u > /tmp/uid
CMD ["cat", "/home/one", "/tmp/uid"]
"""
    result = build(text)
    assert result.code == 0, result
    assert run_built(engine) == "first\nof the context\n1000\n"


def test_build_that_fails(engine, build):
    result = build(f"FROM {engine.image}\nRUN exit 7\n")
    assert result.code != 0
    assert "7" in result.err


def test_build_in_a_shell_of_its_own(engine, build):
    text = f'FROM {engine.image}\nSHELL ["/bin/sh", "-e", "-c"]\nRUN echo one; echo two > /two\nENTRYPOINT ["cat"]\n'
    result = build(text)
    assert result.code == 0, result
    assert run_built(engine, "/two") == "two\n"


def test_image_of_a_container(engine):
    """It is paused meanwhile."""
    container = engine.start()
    assert container.exec("sh", "-c", "echo changed > /home/file").code == 0
    try:
        engine.do("commit", "--pause=true", container.name, "built")
        assert container.status == "running"
        assert run_built(engine, "cat", "/home/file") == "changed\n"
    finally:
        engine("image", "rm", "--force", "built")
