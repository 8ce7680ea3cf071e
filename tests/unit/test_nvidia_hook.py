"""The parts of the hook that touch no container: its command line, the state, the lines for cgroup v1."""

import json
import os

import pytest

from pyruntime.edits.edits import Device, Edits, Hook, Mount
from pyruntime.errors import PyruntimeError, UsageError
from pyruntime.hooks import kernel, nvidia, state
from pyruntime.hooks.devices import is_allowed, line
from pyruntime.hooks.tree import Tree
from pyruntime.plan.devices import ALL, EVERYTHING, MKNOD, READ, WRITE, Rule


@pytest.fixture
def tree(tmp_path):
    """A root, and beside it a directory that nothing in it may reach."""
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield Tree(fd), tmp_path / "root", tmp_path / "outside"
    os.close(fd)


@pytest.mark.parametrize("words", [["--config", "/x"], ["-config", "/x"], ["--config=/x"], ["-config=/x"]])
def test_the_settings_are_named_in_the_arguments(words):
    assert nvidia.parse([*words, "prestart"]) == ("prestart", "/x")
    assert nvidia.parse(["poststop"]) == ("poststop", "")


@pytest.mark.parametrize(
    "words", [[], ["--config"], ["--config", "prestart"], ["startContainer"], ["prestart", "x"], ["--x", "prestart"]]
)
def test_command_lines_that_are_refused(words):
    with pytest.raises(UsageError):
        nvidia.parse(words)


def make_bundle(path, **config):
    (path / "rootfs").mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps({"root": {"path": "rootfs"}, **config}))


def find(when="createRuntime", **members):
    return state.find(json.dumps({"pid": 7, **members}).encode(), when)


@pytest.mark.parametrize("name", ["bundle", "bundlePath"])
def test_the_bundle_has_two_names(tmp_path, name):
    make_bundle(tmp_path)
    found = find(**{name: str(tmp_path)})
    assert (found.process, found.rootfs) == ("7", f"{tmp_path}/rootfs")


def test_the_root_that_crun_tells_comes_first(tmp_path):
    make_bundle(tmp_path)
    (tmp_path / "merged").mkdir()
    assert find(bundle=str(tmp_path), root=f"{tmp_path}/merged").rootfs == f"{tmp_path}/merged"


def test_a_root_behind_a_link(tmp_path):
    make_bundle(tmp_path, root={"path": "link"})
    (tmp_path / "link").symlink_to("rootfs")
    assert find(bundle=str(tmp_path)).rootfs == f"{tmp_path}/rootfs"


def test_in_the_containers_namespace_the_pid_means_something_else(tmp_path):
    make_bundle(tmp_path)
    assert find("createContainer", bundle=str(tmp_path)).process == "self"


def test_what_others_act_on_is_left_out_of_the_config(tmp_path):
    """Annotations and hooks have been seen to by the engine and the runtime."""
    make_bundle(tmp_path, annotations={"cdi.k8s.io/x": "vendor.com/device=one"}, hooks={"prestart": []}, mounts=[])
    assert set(find(bundle=str(tmp_path)).config) == {"root", "mounts"}


@pytest.mark.parametrize(
    "members", [{"bundle": 1}, {"bundle": "relative"}, {"bundle": "/nowhere"}, {}, {"pid": 0}, {"pid": True}]
)
def test_states_that_are_refused(tmp_path, members):
    make_bundle(tmp_path)
    whole = members if "bundle" in members else {"bundle": str(tmp_path), **members}
    whole = {} if not members else whole
    with pytest.raises(PyruntimeError):
        find(**whole)


@pytest.mark.parametrize("root", [None, [], {}, {"path": 1}, {"path": "nowhere"}])
def test_configs_that_are_refused(tmp_path, root):
    make_bundle(tmp_path, root=root)
    with pytest.raises(PyruntimeError):
        find(bundle=str(tmp_path))


def test_lines_for_version_1():
    assert line(Rule(True, "c", 195, 255, READ | WRITE)) == "c 195:255 rw"
    assert line(Rule(True, "b", 8, ALL, MKNOD)) == "b 8:* m"
    assert line(nvidia.rule(Device("/dev/x", kind="c", major=1, minor=3))) == "c 1:3 rwm"


def test_what_is_allowed_already():
    wanted = Rule(True, "c", 195, 1, READ | WRITE)
    for text in ("a *:* rwm", "c 195:* rw", "c 1:3 r\nc 195:1 rwm\n", "c *:* rw"):
        assert is_allowed(wanted, text), text
    for text in ("", "c 195:0 rw", "c 195:1 r", "b 195:1 rw", "c *:* m"):
        assert not is_allowed(wanted, text), text
    assert not is_allowed(Rule(True, "c", 1, 3, EVERYTHING), "c 1:3 rw")


def test_mounts_are_never_of_nodes_or_programs_with_rights():
    assert nvidia.options(Mount("/x", "/x", ["ro", "rbind"])) == kernel.RDONLY | kernel.NOSUID | kernel.NODEV
    assert nvidia.options(Mount("/x", "/x", ["suid", "dev"])) == kernel.NOSUID | kernel.NODEV
    for mount in (Mount("x", "/x", [], "tmpfs"), Mount("/x", "/x", ["idmap"])):
        with pytest.raises(PyruntimeError):
            nvidia.options(mount)


def test_what_a_hook_comes_too_late_for():
    edits = Edits()
    edits.hooks.append(Hook("poststart", "/bin/true", [], []))
    with pytest.raises(PyruntimeError, match="hooks, which no hook can add"):
        nvidia.check(edits)


def test_files_and_links_are_made_below_the_root(tree):
    made, root, _ = tree
    made.write("/etc/a/file", b"content", 0o640)
    made.write("/etc/a/file", b"other", 0o644)
    made.link("/usr/lib/link", "target")
    made.link("/usr/lib/link", "another")  # what is there stays
    assert (root / "etc/a/file").read_bytes() == b"other"
    assert (root / "etc/a/file").stat().st_mode & 0o777 == 0o644
    assert os.listdir(root / "etc/a") == ["file"]
    assert os.readlink(root / "usr/lib/link") == "target"


@pytest.mark.parametrize("target", ["../outside", "/../outside", "{outside}", "../../../../../../..{outside}"])
def test_links_lead_nowhere_outside(tree, target):
    made, root, outside = tree
    (root / "etc").symlink_to(target.format(outside=outside))
    for make in (lambda: made.write("/etc/file", b"x", 0o644), lambda: made.link("/etc/link", "x")):
        with pytest.raises(PyruntimeError):
            make()
    assert not list(outside.iterdir())


def test_a_file_takes_the_place_of_a_link(tree):
    made, root, outside = tree
    (outside / "cache").write_text("theirs")
    (root / "cache").symlink_to(outside / "cache")
    made.write("/cache", b"ours", 0o644)
    assert (outside / "cache").read_text() == "theirs"
    assert not (root / "cache").is_symlink()


@pytest.mark.parametrize("path", ["/", "", "/a/../b"])
def test_paths_that_name_nothing(tree, path):
    with pytest.raises(PyruntimeError):
        tree[0].write(path, b"", 0o644)


def test_only_regular_files_are_covered(tree):
    made, root, _ = tree
    (root / "directory").mkdir()
    made.cover("/missing", b"", 0o644)
    assert not (root / "missing").exists()
    with pytest.raises(PyruntimeError, match="not a regular file"):
        made.cover("/directory", b"", 0o644)
