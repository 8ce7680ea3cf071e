"""The schemas in specs/: right as schemas, and complete as to what the specification has."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from valid_configs import BASE, FULL, PARTS, change, without

from pyruntime.config import model, names
from pyruntime.config.explain import NOUNS, schema, validator
from pyruntime.config.verdict import is_valid
from specs.compile import KEYWORDS, Compiler

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMAS = sorted(path.name for path in (ROOT / "specs").glob("*.schema.json"))

# config.md and config-linux.md: what each object has; * is an array's items, {} the values of a map, ! is required.
# `root`, process.args and a user's ids: the specification requires them of a config for Linux, or Go's clients leave
# them out when they are 0. intelRdt.enableCMT and enableMBM are those of version 1.2.
MEMBERS = {
    "": "ociVersion! root! mounts process hostname domainname hooks annotations linux",
    "root": "path! readonly",
    "mounts.*": "destination! source options type uidMappings gidMappings",
    "mounts.*.uidMappings.*": "containerID! hostID! size!",
    "mounts.*.gidMappings.*": "containerID! hostID! size!",
    "process": "terminal consoleSize cwd! env args! rlimits apparmorProfile capabilities noNewPrivileges oomScoreAdj "
    "scheduler selinuxLabel ioPriority execCPUAffinity user",
    "process.consoleSize": "height! width!",
    "process.rlimits.*": "type! soft! hard!",
    "process.capabilities": "effective bounding inheritable permitted ambient",
    "process.scheduler": "policy! nice priority flags runtime deadline period",
    "process.ioPriority": "class! priority!",
    "process.execCPUAffinity": "initial final",
    "process.user": "uid gid umask additionalGids",
    "hooks": "prestart createRuntime createContainer startContainer poststart poststop",
    "hooks.prestart.*": "path! args env timeout",
    "hooks.createRuntime.*": "path! args env timeout",
    "hooks.createContainer.*": "path! args env timeout",
    "hooks.startContainer.*": "path! args env timeout",
    "hooks.poststart.*": "path! args env timeout",
    "hooks.poststop.*": "path! args env timeout",
    "linux": "namespaces uidMappings gidMappings timeOffsets devices netDevices cgroupsPath resources "
    "rootfsPropagation sysctl seccomp maskedPaths readonlyPaths mountLabel intelRdt memoryPolicy personality",
    "linux.namespaces.*": "type! path",
    "linux.uidMappings.*": "containerID! hostID! size!",
    "linux.gidMappings.*": "containerID! hostID! size!",
    "linux.timeOffsets": "monotonic boottime",
    "linux.timeOffsets.monotonic": "secs nanosecs",
    "linux.timeOffsets.boottime": "secs nanosecs",
    "linux.devices.*": "type! path! major minor fileMode uid gid",
    "linux.netDevices.{}": "name",
    "linux.resources": "devices memory cpu blockIO hugepageLimits network pids rdma unified",
    "linux.resources.devices.*": "allow! type major minor access",
    "linux.resources.memory": "limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy "
    "checkBeforeUpdate",
    "linux.resources.cpu": "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle",
    "linux.resources.blockIO": "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice "
    "throttleReadIOPSDevice throttleWriteIOPSDevice",
    "linux.resources.blockIO.weightDevice.*": "major! minor! weight leafWeight",
    "linux.resources.blockIO.throttleReadBpsDevice.*": "major! minor! rate!",
    "linux.resources.blockIO.throttleWriteBpsDevice.*": "major! minor! rate!",
    "linux.resources.blockIO.throttleReadIOPSDevice.*": "major! minor! rate!",
    "linux.resources.blockIO.throttleWriteIOPSDevice.*": "major! minor! rate!",
    "linux.resources.hugepageLimits.*": "pageSize! limit!",
    "linux.resources.network": "classID priorities",
    "linux.resources.network.priorities.*": "name! priority!",
    "linux.resources.pids": "limit",
    "linux.resources.rdma.{}": "hcaHandles hcaObjects",
    "linux.seccomp": "defaultAction! defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls",
    "linux.seccomp.syscalls.*": "names! action! errnoRet args",
    "linux.seccomp.syscalls.*.args.*": "index! value! valueTwo op!",
    "linux.intelRdt": "closID l3CacheSchema memBwSchema schemata enableMonitoring enableCMT enableMBM",
    "linux.memoryPolicy": "mode! nodes flags",
    "linux.personality": "domain! flags",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name):
    content = schema(name)
    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert content["$id"].endswith(f"/specs/{name}")
    Draft202012Validator.check_schema(content)


def test_there_are_three():
    assert SCHEMAS == ["config.schema.json", "features.schema.json", "state.schema.json"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_definition_is_used(name):
    text = (ROOT / "specs" / name).read_text()
    for definition in schema(name)["$defs"]:
        assert f'"#/$defs/{definition}"' in text, definition


def test_config_has_the_members_of_the_specification():
    """A member that the schema does not know would be let through unseen, whatever it holds."""
    found = {
        path: {name + ("!" if name in part.get("required", ()) else "") for name in part["properties"]}
        for path, part in PARTS.items()
        if "properties" in part
    }
    assert found == {path: set(members.split()) for path, members in MEMBERS.items()}


def test_the_full_config_is_full():
    """The tests of verdicts and messages start from it: what it lacks, they do not reach."""
    assert validator("config.schema.json").is_valid(FULL)
    assert is_valid(FULL)
    assert is_valid(BASE)

    def reached(value, path):
        yield path
        if isinstance(value, dict):
            part = PARTS[path]
            for name, inner in value.items():
                step = name if name in part.get("properties", ()) else "{}"
                yield from reached(inner, f"{path}.{step}" if path else step)
        elif isinstance(value, list):
            for inner in value:
                yield from reached(inner, f"{path}.*")

    assert set(reached(FULL, "")) == PARTS.keys() - {
        "process.capabilities.inheritable.*",
        "process.capabilities.ambient.*",
        "linux.personality.flags.*",
    }


def test_integers_have_both_bounds():
    """What has none ends as a number that the kernel's types cannot hold."""
    for path, part in PARTS.items():
        if part.get("type") == "integer":
            assert {"minimum", "maximum"} <= part.keys(), path


def test_everything_has_a_type_or_a_list_of_words():
    for path, part in PARTS.items():
        assert part.get("type") in NOUNS or "enum" in part, path


def test_words_have_a_name_for_messages():
    """Messages say that "x" is not <title>."""
    for path, part in PARTS.items():
        if "enum" in part or "pattern" in part:
            assert "title" in part, path


# the bounds that the specification or the kernel give, other than those of plain C types
@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        ("process.oomScoreAdj", -1000, 1000),
        ("process.ioPriority.priority", 0, 7),
        ("process.user.uid", 0, 2**32 - 2),
        ("process.user.gid", 0, 2**32 - 2),
        ("process.user.additionalGids[0]", 0, 2**32 - 2),
        ("process.user.umask", 0, 0o777),
        ("process.consoleSize.height", 0, 2**16 - 1),
        ("process.rlimits[0].soft", 0, 2**64 - 1),
        ("hooks.prestart[0].timeout", 1, 2**31 - 1),
        ("linux.uidMappings[0].size", 1, 2**32 - 1),
        ("linux.timeOffsets.boottime.nanosecs", 0, 999_999_999),
        ("linux.timeOffsets.boottime.secs", -(2**63), 2**63 - 1),
        # mknod(2) has 12 bits and 20; more would come out as another device
        ("linux.devices[0].major", 0, 2**12 - 1),
        ("linux.devices[0].minor", 0, 2**20 - 1),
        ("linux.resources.devices[0].major", -1, 2**32 - 1),
        ("linux.resources.memory.limit", -1, 2**63 - 1),
        ("linux.resources.memory.swappiness", 0, 100),
        ("linux.resources.cpu.idle", 0, 1),
        ("linux.resources.cpu.quota", -(2**63), 2**63 - 1),
        ("linux.resources.pids.limit", -1, 2**63 - 1),
        ("linux.resources.blockIO.weight", 0, 2**16 - 1),
        ("linux.seccomp.syscalls[0].args[0].index", 0, 5),
        ("linux.seccomp.syscalls[0].args[0].value", 0, 2**64 - 1),
    ],
)
def test_bounds(path, least, most):
    for value in (least, most):
        assert is_valid(change(FULL, path, value))
    for value in (least - 1, most + 1, float(least), str(least), [least], {}):
        assert not is_valid(change(FULL, path, value))


@pytest.mark.parametrize("path", [path for path, part in PARTS.items() if "enum" in part])
def test_words(path):
    """Each word of an enumeration is accepted where it belongs, and nothing near it."""
    place = path.replace(".*", "[0]")
    for word in PARTS[path]["enum"]:
        assert is_valid(change(FULL, place, word))
        assert not is_valid(change(FULL, place, word.swapcase() or "x"))
        assert not is_valid(change(FULL, place, word + " "))


@pytest.mark.parametrize("name", ["annotations", "linux.sysctl", "linux.resources.unified"])
def test_maps_take_any_name(name):
    for key in ("", "a.b", "ü", "x" * 1000):
        assert is_valid(change(FULL, name, {key: "value"}))
        assert not is_valid(change(FULL, name, {key: 1}))


def test_unknown_members_are_ignored():
    """config.md, Extensibility: a runtime must not fail over properties that it does not know."""
    for path, part in PARTS.items():
        if "properties" in part:
            place = path.replace(".*", "[0]").replace("linux.netDevices.{}", "linux.netDevices.eth0")
            place = place.replace("linux.resources.rdma.{}", "linux.resources.rdma.mlx5_1")
            assert is_valid(change(FULL, f"{place}.unknown" if place else "unknown", [{"a": None}]))


def test_required_members_are_required():
    for path, members in MEMBERS.items():
        place = path.replace(".*", "[0]")
        for member in members.split():
            changed = without(FULL, f"{place}.{member.rstrip('!')}".strip(".")) if "{}" not in place else None
            if changed is not None:
                assert is_valid(changed) == (not member.endswith("!")), f"{path}.{member}"


def test_the_tables_of_names_agree_with_the_schema():
    """What passes the schema must have a number for the kernel."""
    assert set(PARTS["process.rlimits.*.type"]["enum"]) == names.RLIMITS.keys()
    assert set(PARTS["linux.namespaces.*.type"]["enum"]) == names.NAMESPACES.keys() == names.NAMESPACE_FILES.keys()
    assert set(PARTS["linux.devices.*.type"]["enum"]) == names.DEVICE_TYPES.keys()
    propagations = {word.removeprefix("r") for word in PARTS["linux.rootfsPropagation"]["enum"]} - {""}
    assert propagations == names.PROPAGATIONS.keys()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Config", ""), ("Root", "root"), ("Mount", "mounts.*"), ("Process", "process"), ("User", "process.user"),
        ("ConsoleSize", "process.consoleSize"), ("Capabilities", "process.capabilities"),
        ("Rlimit", "process.rlimits.*"), ("Scheduler", "process.scheduler"), ("IOPriority", "process.ioPriority"),
        ("ExecCPUAffinity", "process.execCPUAffinity"), ("Hooks", "hooks"), ("Hook", "hooks.prestart.*"),
        ("Linux", "linux"), ("Namespace", "linux.namespaces.*"), ("IdMapping", "linux.uidMappings.*"),
        ("Device", "linux.devices.*"), ("DeviceRule", "linux.resources.devices.*"), ("Resources", "linux.resources"),
        ("Memory", "linux.resources.memory"), ("Cpu", "linux.resources.cpu"), ("Pids", "linux.resources.pids"),
        ("BlockIO", "linux.resources.blockIO"), ("WeightDevice", "linux.resources.blockIO.weightDevice.*"),
        ("ThrottleDevice", "linux.resources.blockIO.throttleReadBpsDevice.*"),
        ("HugepageLimit", "linux.resources.hugepageLimits.*"),
    ],
)  # fmt: skip
def test_the_types_agree_with_the_schema(name, path):
    """config/model.py is what the type checker holds the compiler of plans to."""
    found = getattr(model, name)
    assert set(found.__annotations__) == PARTS[path]["properties"].keys()
    assert found.__required_keys__ == set(PARTS[path].get("required", ()))


def test_a_schema_cannot_outgrow_its_compiler():
    for part in (
        {"type": "string", "format": "uri"},
        {"type": "string", "pattern": "^x"},
        {"anyOf": [{"type": "string"}]},
        {"properties": {"a": {"oneOf": []}}},
    ):
        with pytest.raises(SystemExit):
            Compiler({"$defs": {"part": part}, "type": "object"}).module()
    assert "anyOf" in KEYWORDS


STATE = {
    "ociVersion": "1.3.0",
    "id": "web",
    "pid": 7,
    "status": "running",
    "bundle": "/b",
    "rootfs": "/b/rootfs",
    "created": "2026-01-01T00:00:00.123456789Z",
    "annotations": {"a": "b"},
    "owner": "",
}


def test_states():
    check = Draft202012Validator(schema("state.schema.json"))
    check.validate(STATE)
    for status in ("creating", "stopped"):
        check.validate(STATE | {"status": status, "pid": 0})
        check.validate(without(STATE | {"status": status}, "pid"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "dead"}, {"pid": -1}, {"pid": "7"}, {"pid": 0}, {"bundle": "b"}, {"rootfs": ""}, {"id": ""},
        {"created": "2026-01-01 00:00:00"}, {"created": "2026-01-01T00:00:00.5+01:00"}, {"annotations": {"a": 1}},
        {"ociVersion": ""},
    ],
)  # fmt: skip
def test_wrong_states(wrong):
    with pytest.raises(ValidationError):
        Draft202012Validator(schema("state.schema.json")).validate(STATE | wrong)


def test_a_state_has_a_pid_while_there_is_a_process():
    """runtime.md, State: required when the status is created or running."""
    for status in ("created", "running", "paused"):
        with pytest.raises(ValidationError):
            Draft202012Validator(schema("state.schema.json")).validate(without(STATE | {"status": status}, "pid"))


FEATURES = {
    "ociVersionMin": "1.0.0",
    "ociVersionMax": "1.3.0-rc.1+x",
    "hooks": ["prestart", "poststop"],
    "mountOptions": ["ro", "rbind", "tmpcopyup"],
    "linux": {
        "namespaces": ["cgroup", "time"],
        "capabilities": ["CAP_BPF"],
        "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": None},
        "seccomp": {
            "enabled": True,
            "actions": ["SCMP_ACT_ALLOW"],
            "operators": ["SCMP_CMP_MASKED_EQ"],
            "archs": ["SCMP_ARCH_X86_64"],
            "knownFlags": ["SECCOMP_FILTER_FLAG_LOG"],
            "supportedFlags": [],
        },
        "apparmor": {"enabled": False},
        "selinux": {"enabled": False},
        "memoryPolicy": {"modes": ["MPOL_BIND"], "flags": ["MPOL_F_STATIC_NODES"]},
        "intelRdt": {"enabled": True, "schemata": True, "monitoring": False},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    },
    "annotations": {"com.example.version": "1"},
    "potentiallyUnsafeConfigAnnotations": ["com.example."],
}


def nodes(value, path=()):
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from nodes(inner, (*path, name))


def test_features():
    check = Draft202012Validator(schema("features.schema.json"))
    check.validate(FEATURES)
    for path in nodes(FEATURES):
        if not path:
            continue
        changed = json.loads(json.dumps(FEATURES))
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = None
        # features.md: every property but the versions may be null; the values of annotations are strings
        optional = not path[0].startswith("ociVersion") and path[:-1] != ("annotations",)
        assert check.is_valid(changed) == optional, path
        place[path[-1]] = 7
        assert not check.is_valid(changed), path
        del place[path[-1]]
        assert check.is_valid(changed) == (not path[0].startswith("ociVersion")), path


def test_features_know_the_members_of_the_specification():
    """Without a list of its own: a member that is misspelt in the schema would accept anything."""
    part = schema("features.schema.json")
    assert part["properties"].keys() == FEATURES.keys()
    assert part["properties"]["linux"]["properties"].keys() == FEATURES["linux"].keys()
    for name in ("cgroup", "seccomp", "memoryPolicy", "intelRdt", "mountExtensions"):
        assert part["properties"]["linux"]["properties"][name]["properties"].keys() == FEATURES["linux"][name].keys()
