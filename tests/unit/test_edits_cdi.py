"""cdi.py finds devices in files as the specification of CDI says, and says what is wrong with those that it cannot."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits import cdi
from pyruntime.edits.edits import Device, Edits
from pyruntime.errors import CdiError
from tests.fakes.driver import REAL_NODES


def document(*names, kind="vendor.com/net", version="0.6.0", **members):
    devices = [{"name": name, "containerEdits": {"env": [f"DEVICE={name}"]}} for name in names]
    return {"cdiVersion": version, "kind": kind, "devices": devices, **members}


@pytest.fixture
def directories(tmp_path):
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    return tmp_path / "etc", tmp_path / "run"


def write(directory, name, content):
    (directory / name).write_text(content if isinstance(content, str) else json.dumps(content))


def load(directories):
    return cdi.load([str(directory) for directory in directories])


def test_devices_in_json_and_yaml(directories):
    write(directories[0], "a.json", document("one"))
    write(directories[1], "b.yaml", "cdiVersion: 0.5.0\nkind: x.com/y\ndevices:\n- name: '0'\n  containerEdits: {}\n")
    write(directories[1], "c.txt", "not read")
    (directories[1] / "below").mkdir()
    found = load(directories)
    assert sorted(found.devices) == ["vendor.com/net=one", "x.com/y=0"]
    assert found.problems == {}


def test_json_in_a_file_for_yaml(directories):
    """What `cdi generate` writes."""
    write(directories[0], "a.yaml", json.dumps(document("one"), indent=4))
    assert list(load(directories).devices) == ["vendor.com/net=one"]


NVIDIA = """---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidia-modeset
  - path: /dev/nvidiactl
  env:
  - NVIDIA_CTK_LIBCUDA_DIR=/usr/lib/x86_64-linux-gnu
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - create-symlinks
    - --link
    - libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so
    env:
    - NVIDIA_CTK_DEBUG=false
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /usr/bin/nvidia-smi
    hostPath: /usr/bin/nvidia-smi
    options:
    - ro
    - nosuid
    - nodev
    - rbind
    - rprivate
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
    - path: /dev/dri/card1
    - path: /dev/dri/renderD128
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: GPU-edfee158-11c1-52b8-0517-92f30e7fac88
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: all
kind: nvidia.com/gpu
"""


def test_a_file_in_the_form_of_other_generators(directories):
    write(directories[1], "nvidia.yaml", NVIDIA)
    found = load(directories)
    assert found.problems == {}
    edits = found.resolve(["nvidia.com/gpu=0"])
    assert [device.path for device in edits.devices] == [
        "/dev/nvidia-modeset", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dri/card1", "/dev/dri/renderD128",
    ]  # fmt: skip
    assert edits.hooks[0].args[3] == "libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so"
    assert edits.mounts[0].options == ["ro", "nosuid", "nodev", "rbind", "rprivate"]


def test_directories_that_are_not_there(tmp_path):
    assert load([tmp_path / "missing"]).devices == {}


def test_common_edits_come_once_and_first(directories):
    write(directories[0], "a.json", document("one", "two", containerEdits={"env": ["COMMON=1"]}))
    edits = load(directories).resolve(["vendor.com/net=two", "vendor.com/net=one", "vendor.com/net=two"])
    assert edits.env == ["COMMON=1", "DEVICE=two", "DEVICE=one"]


def test_the_later_directory_counts(directories):
    for number, directory in enumerate(directories):
        write(directory, "a.json", document("one", containerEdits={"env": [f"FROM={number}"]}))
    assert load(directories).resolve(["vendor.com/net=one"]).env[0] == "FROM=1"


def test_two_files_of_one_directory_clash(directories):
    for name in ("a.json", "b.json"):
        write(directories[1], name, document("one"))
    write(directories[0], "c.json", document("one", "two"))
    found = load(directories)
    assert list(found.devices) == ["vendor.com/net=two"]
    with pytest.raises(CdiError) as caught:
        found.resolve(["vendor.com/net=one"])
    a, b = (str(directories[1] / name) for name in ("a.json", "b.json"))
    assert str(caught.value) == f"CDI device vendor.com/net=one is described twice: by {a} and by {b}"


def test_a_clash_below_a_later_directory_does_not_matter(directories):
    for name in ("a.json", "b.json"):
        write(directories[0], name, document("one"))
    write(directories[1], "c.json", document("one"))
    found = load(directories)
    assert (list(found.devices), found.conflicts) == (["vendor.com/net=one"], {})


def test_devices_that_there_are_not(directories):
    write(directories[0], "a.json", document("one"))
    write(directories[0], "bad.json", "{")
    with pytest.raises(CdiError) as caught:
        load(directories).resolve(["vendor.com/net=one", "x.com/y=1", "x.com/y=2"])
    message = str(caught.value)
    assert message.startswith(
        f"no CDI device x.com/y=1, x.com/y=2: the files in {directories[0]} and {directories[1]} describe "
        f"vendor.com/net=one; {directories[0]}/bad.json: bad.json, line 1"
    )


def test_a_bad_file_spoils_only_itself(directories):
    write(directories[0], "a.json", document("one"))
    write(directories[0], "b.json", document("two", unknown=1))
    write(directories[0], "c.yaml", "cdiVersion: &x 0.5.0")
    os.symlink("/dev/zero", directories[0] / "d.json")
    os.mkfifo(directories[0] / "e.json")
    found = load(directories)
    assert list(found.devices) == ["vendor.com/net=one"]
    assert {path.rpartition("/")[2]: problem.partition("'")[0] for path, problem in found.problems.items()} == {
        "b.json": "the file: the member ",
        "c.yaml": "line 1: ",
        "d.json": f"{directories[0]}/d.json is not a regular file",
        "e.json": f"{directories[0]}/e.json is not a regular file",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cdiVersion": "9.9.9"}, "cdiVersion: '9.9.9' is not one of 0.3.0"),
        ({"cdiVersion": 1}, "cdiVersion is not a text"),
        ({"kind": "net"}, "kind: 'net' is not vendor/class"),
        ({"kind": "1x/net"}, "is not vendor/class"),
        ({"kind": "x/net-"}, "is not vendor/class"),
        ({"kind": "x/n/t"}, "is not vendor/class"),
        ({"devices": []}, "devices is missing"),
        ({"devices": [{"name": "-a", "containerEdits": {}}]}, r"devices\[0\].name: '-a' is not made of"),
        ({"devices": [{"name": "a"}]}, r"devices\[0\].containerEdits is missing"),
        ({"devices": [{"name": "a", "containerEdits": {}}] * 2}, "'a' occurs twice"),
        ({"annotations": {"a": 1}}, "annotations are texts"),
        ({"extra": 1}, "the member 'extra' is not known"),
        ({"cdiVersion": "0.5.0", "annotations": {"a": "b"}}, "0.5.0 is too old .* came with 0.6.0"),
        ({"containerEdits": {"mounts": [{"hostPath": "a"}]}}, r"containerEdits.mounts\[0\].containerPath is missing"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(CdiError, match=message):
        cdi.parse_spec({**document("one"), **changes})


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ("0.3.0", {}),
        ("0.4.0", {"containerEdits": {"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "bind"}]}}),
        ("0.5.0", {"devices": [{"name": "0", "containerEdits": {}}]}),
        ("0.5.0", {"containerEdits": {"deviceNodes": [{"path": "/a", "hostPath": "/b"}]}}),
        ("0.6.0", {"annotations": {}}),
        ("0.6.0", {"kind": "x/y.z"}),
        ("0.7.0", {"containerEdits": {"additionalGids": [1]}}),
        ("0.7.0", {"containerEdits": {"intelRdt": {}}}),
        ("1.1.0", {"containerEdits": {"intelRdt": {"schemata": []}}}),
        ("1.1.0", {"containerEdits": {"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}}),
    ],
)
def test_versions(version, changes):
    found = {**document("one"), **changes, "cdiVersion": version}
    assert cdi.minimum_version(found) == version
    cdi.parse_spec(found)


def test_annotations():
    config = {"annotations": {"cdi.k8s.io/b": "x.com/y=1,x.com/y=2", "cdi.k8s.io/a": "x.com/y=0", "other": "z"}}
    assert cdi.requested(config) == ["x.com/y=0", "x.com/y=1", "x.com/y=2"]
    assert cdi.requested({}) == []
    for bad in ("y=1", "x.com/y", "x.com/y=", "x.com/y=a/b", "x.com/y=../z"):
        with pytest.raises(CdiError):
            cdi.requested({"annotations": {"cdi.k8s.io/a": bad}})


def test_numbers_come_from_the_host(tmp_path):
    edits = Edits()
    edits.devices = [
        Device("/dev/x", "/dev/null"),
        Device("/dev/null", mode=0o600),
        Device("/dev/z", "", "b", 8, 1),
        Device("/dev/p", "", "p"),
    ]
    cdi.complete(edits)
    found = [(device.type, device.major, device.minor, device.mode) for device in edits.devices]
    assert found[0] == ("c", 1, 3, 0o666)
    assert found[1] == ("c", 1, 3, 0o600)
    assert found[2] == ("b", 8, 1, -1)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    for path in ("file", "link", "missing"):
        edits.devices = [Device(str(tmp_path / path))]
        with pytest.raises(CdiError, match="CDI device node"):
            cdi.complete(edits)
    edits.devices = [Device("/dev/null", "", "b")]
    with pytest.raises(CdiError, match="is not a device of type b"):
        cdi.complete(edits)


@pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")
def test_numbers_of_a_node_of_ones_own(tmp_path):
    os.mknod(tmp_path / "node", 0o020640, os.makedev(195, 7))
    edits = Edits()
    edits.devices = [Device("/dev/nvidia7", str(tmp_path / "node"))]
    cdi.complete(edits)
    assert (edits.devices[0].major, edits.devices[0].minor) == (195, 7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cdiVersion", "kind", "devices", "name", "containerEdits"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document(value):
    try:
        cdi.parse_spec(value)
    except CdiError:
        pass
    value = {**document("one"), **(value if isinstance(value, dict) else {"devices": value})}
    try:
        cdi.parse_spec(value)
    except CdiError:
        pass


@given(st.binary(max_size=200), st.sampled_from([".json", ".yaml"]))
def test_any_file(tmp_path_factory, data, ending):
    directory = tmp_path_factory.mktemp("cdi")
    (directory / f"a{ending}").write_bytes(data)
    found = cdi.load([str(directory)])
    assert found.devices == {}
    assert len(found.problems) == 1
