"""Edits change a config as CDI says; and what is read as JSON is what was written."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits import form
from pyruntime.edits.edits import Cache, Device, Edits, File, Hook, Link, Mount, apply
from pyruntime.errors import CdiError

CONFIG = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "process": {"args": ["x"], "cwd": "/", "env": ["PATH=/bin", "A=1"], "user": {"uid": 0, "gid": 0}},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/a/b/c", "type": "bind", "source": "/x", "options": ["bind"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    ],
    "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
}


def applied(edits, config=CONFIG, **options):
    config = copy.deepcopy(config)
    apply(config, edits, **options)
    return config


def test_no_edits_change_nothing():
    assert applied(Edits()) == CONFIG


def test_environment_replaces_and_adds():
    edits = Edits()
    edits.env = ["A=2", "B=3", "B=4"]
    assert applied(edits)["process"]["env"] == ["PATH=/bin", "A=2", "B=4"]


def test_devices_come_with_their_rules():
    edits = Edits()
    edits.devices = [
        Device("/dev/x", "", "c", 195, 0, 0o666, "rw", 0, 44),
        Device("/dev/y", "", "b", 8, 1),
        Device("/dev/p", "", "p"),
        Device("/dev/z", "", "c", 1, 3, access="none"),
    ]
    config = copy.deepcopy(CONFIG)
    config["linux"]["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 1}]
    linux = applied(edits, config)["linux"]
    assert linux["devices"] == [
        {"path": "/dev/x", "type": "c", "major": 195, "minor": 0, "fileMode": 0o666, "uid": 0, "gid": 44},
        {"path": "/dev/y", "type": "b", "major": 8, "minor": 1},
        {"path": "/dev/p", "type": "p"},
        {"path": "/dev/z", "type": "c", "major": 1, "minor": 3},
    ]
    assert linux["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "minor": 1, "access": "rwm"},
    ]


def test_nodes_belong_to_the_user_of_the_process():
    """Unless the edits say to whom."""
    edits = Edits()
    edits.devices = [Device("/dev/x", "", "c", 1, 3), Device("/dev/y", "", "c", 1, 5, uid=0, gid=0)]
    config = copy.deepcopy(CONFIG)
    config["process"]["user"] = {"uid": 1000, "gid": 100}
    first, second = applied(edits, config)["linux"]["devices"]
    assert (first["uid"], first["gid"]) == (1000, 100)
    assert (second["uid"], second["gid"]) == (0, 0)


def test_mounts_replace_those_of_the_same_place():
    edits = Edits()
    edits.mounts = [Mount("/h", "/a/b/c", ["ro"]), Mount("/i", "/b", ["rbind"])]
    mounts = applied(edits)["mounts"]
    assert [mount["destination"] for mount in mounts] == ["/proc", "/dev", "/a/b/c", "/b"]
    assert mounts[2] == {"destination": "/a/b/c", "source": "/h", "type": "bind", "options": ["ro", "bind"]}
    assert mounts[3]["options"] == ["rbind"]


def test_mounts_by_depth():
    """What CDI does: the order of those of one depth stays."""
    edits = Edits()
    edits.mounts = [Mount("/h", "/b", [])]
    assert [mount["destination"] for mount in applied(edits, sort=True)["mounts"]] == ["/proc", "/dev", "/b", "/a/b/c"]


def test_groups_are_added_once():
    edits = Edits()
    edits.gids = [44, 0, 44, 10]
    config = copy.deepcopy(CONFIG)
    config["process"]["user"]["additionalGids"] = [10]
    assert applied(edits, config)["process"]["user"]["additionalGids"] == [10, 44]


def test_the_rest():
    edits = Edits()
    edits.hooks = [Hook("createContainer", "/bin/h", ["h", "x"], ["A=1"], 5)]
    edits.net_devices = [("eth1", "eth0")]
    edits.rdt = {"closID": "x"}
    config = applied(edits)
    assert config["hooks"] == {
        "createContainer": [{"path": "/bin/h", "args": ["h", "x"], "env": ["A=1"], "timeout": 5}]
    }
    assert config["linux"]["netDevices"] == {"eth1": {"name": "eth0"}}
    assert config["linux"]["intelRdt"] == {"closID": "x"}


def test_lists_of_the_config_are_not_changed():
    """The engine's own copy may share them."""
    edits = Edits()
    edits.mounts, edits.gids, edits.env = [Mount("/h", "/b", [])], [1], ["X=1"]
    config = copy.deepcopy(CONFIG)
    mounts, env = config["mounts"], config["process"]["env"]
    apply(config, edits)
    assert (mounts, env) == (CONFIG["mounts"], CONFIG["process"]["env"])


def test_links_become_mounts():
    edits = Edits()
    edits.mounts = [Mount("/h/libx.so.1.2", "/usr/lib/libx.so.1.2", ["ro"])]
    edits.links = [
        Link("/usr/lib/libx.so", "libx.so.1.2", "/h/libx.so.1.2"),
        Link("/usr/lib/libx.so.1.2", "y", "/h/y"),
        Link("/dev/dri/by-path/a", "../card0"),
    ]
    edits.mount_links()
    assert [(mount.source, mount.destination, mount.options) for mount in edits.mounts[1:]] == [
        ("/h/libx.so.1.2", "/usr/lib/libx.so", ["ro"])
    ]
    assert [link.path for link in edits.links] == ["/dev/dri/by-path/a"]


def test_edits_of_two_devices():
    first, second = Edits(), Edits()
    first.proc, second.proc = ["params", "gpus/0"], ["params", "gpus/1"]
    second.cache = Cache()
    second.cache.directories = ["/usr/lib64"]
    second.files = [File("/x", "y")]
    first.add(second)
    assert first.proc == ["params", "gpus/0", "gpus/1"]
    assert first.cache.directories == ["/usr/lib64"]
    assert form.beyond(first)["files"] == [{"path": "/x", "mode": 0o644, "content": "y"}]


# ---- JSON

NAMES = st.text("abcxyz0-._", min_size=1, max_size=8)
PATHS = NAMES.map(lambda name: f"/{name}")
IDS = st.integers(0, 0xFFFFFFFE)
VARIABLES = st.tuples(NAMES, NAMES).map("=".join)


def optional(**members):
    return st.fixed_dictionaries({}, optional=members)


def required(needed, **members):
    return st.fixed_dictionaries(needed, optional=members)


DOCUMENTS = optional(
    env=st.lists(VARIABLES, min_size=1, max_size=3),
    deviceNodes=st.lists(
        required(
            {"path": PATHS}, type=st.sampled_from("bcup"), major=IDS, minor=IDS, fileMode=IDS, uid=IDS, gid=IDS,
            permissions=st.sampled_from(["r", "rw", "rwm", "none"]),
        ), min_size=1, max_size=3,
    ),
    mounts=st.lists(
        required(
            {"hostPath": PATHS, "containerPath": PATHS}, options=st.lists(NAMES, min_size=1, max_size=2), type=NAMES,
        ),
        min_size=1, max_size=3,
    ),
    hooks=st.lists(
        required(
            {"hookName": st.sampled_from(form.HOOKS), "path": PATHS}, args=st.lists(NAMES, min_size=1, max_size=2),
            env=st.lists(VARIABLES, min_size=1, max_size=2), timeout=IDS,
        ), min_size=1, max_size=2,
    ),
    netDevices=st.lists(st.fixed_dictionaries({"hostInterfaceName": NAMES, "name": NAMES}), min_size=1, max_size=2),
    additionalGids=st.lists(IDS, min_size=1, max_size=3),
    intelRdt=optional(closID=NAMES, enableMonitoring=st.booleans(), schemata=st.lists(NAMES, max_size=2)),
)  # fmt: skip


@given(DOCUMENTS)
def test_what_is_read_is_what_is_written(document):
    assert form.to_json(form.parse(document, "x")) == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "x is not an object"),
        ({"enviroment": []}, "x: the member 'enviroment' is not known"),
        ({"env": "A=1"}, "x.env is not a list of texts"),
        ({"env": ["A"]}, "x.env: 'A' is not NAME=VALUE"),
        ({"deviceNodes": [{}]}, r"x.deviceNodes\[0\].path is missing"),
        ({"deviceNodes": [{"path": "dev"}]}, r"x.deviceNodes\[0\].path: 'dev' is not an absolute path"),
        ({"deviceNodes": [{"path": "/d", "type": "x"}]}, "'x' is not one of b, c, u, p"),
        ({"deviceNodes": [{"path": "/d", "major": -1}]}, "major is not a number"),
        ({"deviceNodes": [{"path": "/d", "major": True}]}, "major is not a number"),
        ({"deviceNodes": [{"path": "/d", "permissions": "x"}]}, "is not made of r, w and m"),
        ({"deviceNodes": [{"path": "/d", "uid": 4294967295}]}, "4294967295 is no id"),
        ({"mounts": [{"hostPath": "/a"}]}, "containerPath is missing"),
        ({"mounts": [{"hostPath": "a", "containerPath": "/a"}]}, "hostPath: 'a' is not an absolute path"),
        ({"mounts": [{"hostPath": "/a\0", "containerPath": "/a"}]}, "hostPath is not a text"),
        ({"hooks": [{"hookName": "poststrt", "path": "/a"}]}, "is not one of prestart"),
        ({"additionalGids": [4294967295]}, "is no id"),
        ({"intelRdt": {"x": 1}}, "x.intelRdt: the member 'x' is not known"),
    ],
)
def test_what_is_refused(document, message):
    with pytest.raises(CdiError, match=message):
        form.parse(document, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["env", "mounts", "hostPath", "path", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document(document):
    try:
        form.parse(document, "x")
    except CdiError:
        pass
