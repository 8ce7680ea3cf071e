"""annotations, Extensibility, Valid values and other platforms (config.md); linux.intelRdt (config-linux.md)."""

from pathlib import Path

import pytest
from containers import not_applicable, requirement

SLEEP = "sleep 1000"


# ---- annotations


@requirement("config.annotations.unknown")
def test_unknown_annotations(bundle):
    bundle.config["annotations"] = {
        "com.example.anything": "value",
        "org.opencontainers.no-such-key": "value",
        "plain": "",
        "com.example.json": '{"a": [1]}',
    }
    assert bundle.out("echo here") == "here"


@requirement("config.annotations.map")
@pytest.mark.parametrize("annotations", [["com.example.key"], "com.example.key", 7])
def test_annotations_that_are_no_map(bundle, annotations):
    bundle.config["annotations"] = annotations
    bundle.is_refused()


@requirement("config.annotations.empty-key")
def test_an_annotation_with_an_empty_key(bundle):
    bundle.config["annotations"] = {"": "value"}
    bundle.is_refused()


@requirement("config.annotations.values")
@pytest.mark.parametrize("value", [7, True, ["a"], {"a": "b"}])
def test_an_annotation_that_is_no_string(bundle, value):
    bundle.config["annotations"] = {"com.example.key": value}
    bundle.is_refused()


# ---- unknown properties


def add(place, *path):
    """Adds an unknown property to an object somewhere in a config."""
    for step in path:
        place = place[step]
    place["x-unknown"] = {"a": [1, None]}


PLACES = {
    "top": (),
    "root": ("root",),
    "process": ("process",),
    "process.user": ("process", "user"),
    "process.capabilities": ("process", "capabilities"),
    "process.rlimits": ("process", "rlimits", 0),
    "mounts": ("mounts", 0),
    "hooks": ("hooks",),
    "hooks.createRuntime": ("hooks", "createRuntime", 0),
    "linux": ("linux",),
    "linux.namespaces": ("linux", "namespaces", 0),
    "linux.devices": ("linux", "devices", 0),
    "linux.resources": ("linux", "resources"),
    "linux.resources.memory": ("linux", "resources", "memory"),
    "linux.resources.devices": ("linux", "resources", "devices", 0),
    "linux.seccomp": ("linux", "seccomp"),
    "linux.seccomp.syscalls": ("linux", "seccomp", "syscalls", 0),
}


@requirement("config.extensibility")
@pytest.mark.parametrize("name", PLACES)
def test_unknown_properties(bundle, name):
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    bundle.resources["memory"] = {"limit": 64 << 20}
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}],
    }
    add(bundle.config, *PLACES[name])
    assert bundle.out("echo here") == "here"


@requirement("config.extensibility")
def test_a_property_that_differs_in_case_is_another_one(bundle):
    """It is not taken for the one that it looks like."""
    bundle.config["Hostname"] = "wrong"
    bundle.config["hostname"] = "right"
    assert bundle.out("hostname") == "right"


# ---- what other platforms have


@requirement("config.other-platforms")
@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("windows", {"layerFolders": ["C:\\\\layers"], "devices": []}),
        ("solaris", {"milestone": "svc:/milestone/container:default"}),
        ("vm", {"hypervisor": {"path": "/no/such/hypervisor"}, "kernel": {"path": "/no/such/kernel"}}),
        ("zos", {"namespaces": [{"type": "pid"}]}),
        ("freebsd", {"jail": {"parent": "x"}}),
    ],
)
def test_sections_for_other_platforms(bundle, name, section):
    bundle.config[name] = section
    assert bundle.out("echo here") == "here"


@requirement("config.linux")
def test_no_section_for_linux(bundle):
    """All namespaces are the runtime's, whose mounts are not the host's here."""
    del bundle.config["linux"]
    bundle.mounts[1:] = []
    assert bundle.out("echo here", prefix=["unshare", "-m", "--propagation", "private"]) == "here"


# ---- values that are none


@requirement("config.values.invalid")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("root",), "rootfs"),
        (("root", "path"), 7),
        (("root", "readonly"), "yes"),
        (("hostname",), 7),
        (("process", "args"), "sh"),
        (("process", "args"), ["sh", 7]),
        (("process", "env"), {"PATH": "/bin"}),
        (("process", "cwd"), 7),
        (("process", "terminal"), "no"),
        (("process", "user"), "root"),
        (("process", "user"), {"uid": "root", "gid": "root"}),
        (("process", "noNewPrivileges"), "true"),
        (("process", "capabilities"), ["CAP_KILL"]),
        (("process", "capabilities", "bounding"), "CAP_KILL"),
        (("process", "rlimits"), {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}),
        (("mounts",), {}),
        (("mounts",), ["/proc"]),
        (("mounts", 0, "destination"), 7),
        (("mounts", 0, "options"), "ro"),
        (("hooks",), []),
        (("hooks",), {"createRuntime": {"path": "/bin/true"}}),
        (("linux",), []),
        (("linux", "namespaces"), {}),
        (("linux", "devices"), {}),
        (("linux", "sysctl"), ["net.ipv4.ip_forward"]),
        (("linux", "cgroupsPath"), 7),
        (("linux", "maskedPaths"), "/proc/kcore"),
        (("linux", "readonlyPaths"), "/proc/sys"),
        (("linux", "seccomp"), []),
        (("linux", "uidMappings"), {}),
    ],
)
def test_values_of_another_type(bundle, path, value):
    place = bundle.config
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    bundle.is_refused()


@requirement("config.values.invalid")
@pytest.mark.parametrize("where", ["args", "env", "cwd", "hostname", "root", "destination", "option"])
def test_a_nul_byte_in_a_string(bundle, where):
    """It would end the string on its way to the kernel."""
    match where:
        case "args":
            bundle.process["args"] = ["sh", "-c", "true\0false"]
        case "env":
            bundle.process["env"].append("NAME=a\0b")
        case "cwd":
            bundle.process["cwd"] = "/\0x"
        case "hostname":
            bundle.config["hostname"] = "a\0b"
        case "root":
            bundle.config["root"]["path"] = "rootfs\0x"
        case "destination":
            bundle.mount("/mnt\0x", "tmpfs", "tmpfs")
        case "option":
            bundle.mount("/mnt", "tmpfs", "tmpfs", ["size=4k\0x"])
    bundle.is_refused()


@requirement("config.values.invalid")
@pytest.mark.parametrize("entry", ["NAME", "=value", ""])
def test_an_environment_that_is_none(bundle, entry):
    """IEEE Std 1003.1-2008: the form is name=value."""
    bundle.process["env"].append(entry)
    bundle.is_refused()


# ---- linux.intelRdt, on a host without resctrl


def no_resctrl():
    if " - resctrl " in Path("/proc/self/mountinfo").read_text():
        not_applicable("this host has resctrl, which a test does not touch")


@requirement("linux.intel-rdt.no-resctrl")
@pytest.mark.parametrize(
    "rdt",
    [
        {"closID": "conformance"},
        {"l3CacheSchema": "L3:0=ff"},
        {"memBwSchema": "MB:0=100"},
        {"schemata": ["L3:0=ff"]},
        {"enableMonitoring": True},
    ],
)
def test_resctrl_that_is_not_there(bundle, rdt):
    no_resctrl()
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["intelRdt"] = rdt
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()


@requirement(
    "linux.intel-rdt.mem-bw-schema", "linux.intel-rdt.mem-bw-schema.lines", "linux.intel-rdt.l3-cache-schema.lines",
    "linux.intel-rdt.schemata.lines",
)  # fmt: skip
@pytest.mark.parametrize(
    "rdt",
    [
        {"memBwSchema": "L3:0=ff"},
        {"memBwSchema": "MB:0=20\nL3:0=ff"},
        {"l3CacheSchema": "L3:0=ff\nMB:0=20"},
        {"schemata": ["L3:0=ff\nMB:0=20"]},
    ],
)
def test_bad_schemata(bundle, rdt):
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["intelRdt"] = rdt
    bundle.process["args"] = ["sleep", "1000"]
    bundle.is_refused()


@requirement("linux.intel-rdt.unset")
def test_without_it_resctrl_is_not_needed(bundle):
    no_resctrl()
    assert bundle.out("echo here") == "here"
