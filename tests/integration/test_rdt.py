"""linux.intelRdt: the group that the container is put into, on a directory that stands for resctrl."""

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def resctrl(tmp_path, runtime):
    """A tree as the kernel would show it, and a runtime that takes it for resctrl."""
    tree = tmp_path / "resctrl"
    for name in ("info", "mon_groups"):
        (tree / name).mkdir(parents=True)
    (tree / "tasks").write_text("")
    (tree / "schemata").write_text("    L3:0=fff;1=fff\n    MB:0=100;1=100\n")
    (tree / "info/last_cmd_status").write_text("ok\n")
    driver = [sys.executable, str(HERE / "resctrl.py"), str(tree), "--root", str(runtime.root)]
    # for good: what is left is deleted in the same way
    runtime.command = lambda *args: [*driver, *map(str, args)]
    return tree


def group(tree, name, schemata="L3:0=fff;1=fff\n"):
    """A group that somebody has made before."""
    (tree / name / "mon_groups").mkdir(parents=True)
    (tree / name / "tasks").write_text("")
    (tree / name / "schemata").write_text(schemata)
    return tree / name


def create(bundle, **rdt):
    bundle.linux["intelRdt"] = rdt
    bundle.shell("sleep 1000")
    name, _ = bundle.create()
    return name, str(bundle.runtime.state(name)["pid"])


def groups(tree):
    return {path.name for path in tree.iterdir() if path.is_dir()} - {"info", "mon_groups"}


def test_a_group_of_its_own(resctrl, bundle):
    """config-linux.md: named after the container, made for it, and removed with it."""
    name, pid = create(bundle)
    assert (resctrl / name / "tasks").read_text() == pid
    # nothing is written to schemata that is not asked for
    assert (resctrl / name / "schemata").read_text().startswith("    L3:0=fff")
    bundle.runtime("delete", "--force", name)
    assert groups(resctrl) == set()


def test_schemata_of_a_new_group(resctrl, bundle):
    """The last write is the last of the three kinds: cache, bandwidth, lines."""
    name, _ = create(bundle, schemata=["L2:0=f", "L3:1=ff"], memBwSchema="MB:0=20", l3CacheSchema="L3:0=7f")
    assert (resctrl / name / "schemata").read_text().startswith("L3:1=ff\n")


def test_bandwidth_is_written_behind_the_cache(resctrl, bundle):
    name, _ = create(bundle, memBwSchema="MB:0=20", l3CacheSchema="L3:0=7f")
    assert (resctrl / name / "schemata").read_text().startswith("MB:0=20\n")


def test_a_named_group_is_made_and_stays(resctrl, bundle):
    name, pid = create(bundle, closID="gold", l3CacheSchema="L3:0=7f")
    assert (resctrl / "gold/tasks").read_text() == pid
    bundle.runtime("delete", "--force", name)
    assert groups(resctrl) == {"gold"}


@pytest.mark.parametrize("there", ["L3:0=7f;1=fff", "    L3:0=0007f;1=fff\n    MB:0=  20;1=100"])
def test_a_named_group_that_has_these_schemata_is_entered(resctrl, bundle, there):
    group(resctrl, "gold", f"{there}\n")
    _, pid = create(bundle, closID="gold", l3CacheSchema="L3:0=7F")
    assert (resctrl / "gold/tasks").read_text() == pid


def test_a_named_group_with_other_schemata_is_refused(resctrl, bundle):
    """Others may be in it: it is not changed behind their backs."""
    gold = group(resctrl, "gold")
    bundle.linux["intelRdt"] = {"closID": "gold", "l3CacheSchema": "L3:0=7f"}
    assert f"{gold} is there already, and its schemata are not L3:0=7f" in bundle.fails()
    assert (gold / "schemata").read_text() == "L3:0=fff;1=fff\n"
    assert groups(resctrl) == {"gold"}


def test_a_name_alone_is_of_a_group_that_is_there(resctrl, bundle):
    bundle.linux["intelRdt"] = {"closID": "gold"}
    message = bundle.fails()
    assert "linux.intelRdt: create-rdt " in message
    assert "no such file or directory (a closID without schemata has to name a group that is there)" in message
    gold = group(resctrl, "gold")
    name, pid = create(bundle, closID="gold")
    assert (gold / "tasks").read_text() == pid
    bundle.runtime("delete", "--force", name)
    assert groups(resctrl) == {"gold"}


def test_the_default_group(resctrl, bundle):
    name, pid = create(bundle, closID="/")
    assert (resctrl / "tasks").read_text() == pid
    bundle.runtime("delete", "--force", name)
    assert groups(resctrl) == set()


@pytest.mark.parametrize("asked", ["enableMonitoring", "enableCMT", "enableMBM"])
@pytest.mark.parametrize("rdt", [{}, {"closID": "gold", "l3CacheSchema": "L3:0=7f"}, {"closID": "/"}])
def test_monitoring(resctrl, bundle, rdt, asked):
    """A monitoring group is the container's, whosever the group is that it is in."""
    name, pid = create(bundle, **rdt, **{asked: True})
    top = resctrl / {"gold": "gold", "/": "."}.get(rdt.get("closID"), name)
    assert (top / "tasks").read_text() == pid
    assert (top / "mon_groups" / name / "tasks").read_text() == pid
    bundle.runtime("delete", "--force", name)
    assert groups(resctrl) == ({"gold"} if rdt.get("closID") == "gold" else set())
    assert not list((resctrl / "mon_groups").iterdir())


def test_monitoring_that_cannot_be_had(resctrl, bundle):
    """As where the kernel has no monitoring groups left."""
    (group(resctrl, "gold") / "mon_groups").rmdir()
    bundle.linux["intelRdt"] = {"closID": "gold", "enableMonitoring": True}
    assert "linux.intelRdt" in bundle.fails()
    assert groups(resctrl) == {"gold"}


def test_a_cache_schema_is_for_the_cache(resctrl, bundle):
    bundle.linux["intelRdt"] = {"l3CacheSchema": "MB:0=20"}
    assert 'linux.intelRdt.l3CacheSchema: "MB:0=20" does not begin with "L3"' in bundle.fails()


def test_a_create_that_fails_leaves_no_group(resctrl, bundle):
    bundle.linux["intelRdt"] = {"enableMonitoring": True, "l3CacheSchema": "L3:0=7f"}
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    bundle.fails()
    assert groups(resctrl) == set()


def test_without_resctrl(bundle):
    if any(" - resctrl " in line for line in Path("/proc/self/mountinfo").read_text().splitlines()):
        pytest.skip("this host has resctrl")
    bundle.linux["intelRdt"] = {}
    message = bundle.fails()
    assert "linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled" in message


@pytest.mark.parametrize(
    ("flag", "schema", "member"),
    [("--l3-cache-schema", "L3:0=7f", "l3CacheSchema"), ("--mem-bw-schema", "MB:0=20", "memBwSchema")],
)
@pytest.mark.parametrize("before", [{}, {"closID": "gold"}, None])
def test_update(resctrl, bundle, runtime, flag, schema, member, before):
    """New schemata for the group that the container is in; a container without one gets one, which goes with it."""
    if before is None:
        bundle.shell("sleep 1000")
        name, _ = bundle.create()
    else:
        group(resctrl, "gold")
        name, _ = create(bundle, **before)
    runtime("update", flag, schema, name)
    directory = resctrl / (before or {}).get("closID", name)
    assert (directory / "schemata").read_text().startswith(f"{schema}\n")
    assert (directory / "tasks").read_text() == str(runtime.state(name)["pid"])
    stored = json.loads((runtime.root / name / "config.json").read_text())["linux"]["intelRdt"]
    assert stored == {**(before or {}), member: schema}
    runtime("delete", "--force", name)
    assert groups(resctrl) - {"gold"} == set()
