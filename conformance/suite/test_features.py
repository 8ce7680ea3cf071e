"""The features structure (features.md, features-linux.md): what `features` prints has to be so."""

import json
import re

import pytest
from containers import Refused, not_applicable, requirement

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OPTIONS_OF_ONE_FILE_SYSTEM = {
    "size",
    "nr_inodes",
    "mode",
    "uid",
    "gid",
    "newinstance",
    "ptmxmode",
    "lowerdir",
    "hidepid",
}
# of version 1.3 of the specification
PROPERTIES = {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations"}
PROPERTIES |= {"potentiallyUnsafeConfigAnnotations"}
PROPERTIES_OF_LINUX = {
    "namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy",
    "mountExtensions", "netDevices",
}  # fmt: skip
SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@pytest.fixture
def features(runtime):
    done = runtime("features", check=False)
    if done.code:
        not_applicable("this runtime has no features command")
    return json.loads(done.out)


@pytest.fixture
def linux(features):
    return features["linux"]


def has(structure, *names):
    """Returns a member of a member; what may be missing is not applicable."""
    for name in names:
        if structure is None or name not in structure:
            not_applicable(f"this runtime says nothing about {'.'.join(names)}")
        structure = structure[name]
    return structure


def order(version):
    """Returns what versions are compared by; one with a suffix comes before the same without."""
    major, minor, patch, suffix = SEMVER.fullmatch(version).groups()
    return int(major), int(minor), int(patch), suffix is None, suffix or ""


# ---- versions


@requirement("features.oci-version-min", "features.oci-version-max", "features.oci-version-order")
def test_versions(features):
    assert SEMVER.fullmatch(features["ociVersionMin"])
    assert SEMVER.fullmatch(features["ociVersionMax"])
    assert order(features["ociVersionMin"]) <= order(features["ociVersionMax"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(f"ociVersion{end}", marks=requirement(f"features.oci-version-{end.lower()}.accepted"), id=end)
        for end in ("Min", "Max")
    ],
)
def test_a_config_of_that_version(features, bundle, name):
    bundle.config["ociVersion"] = features[name]
    assert bundle.out("echo here") == "here"


@requirement("features.known-properties")
def test_properties(features):
    assert set(features) <= PROPERTIES
    assert set(features["linux"]) <= PROPERTIES_OF_LINUX


@requirement("features.compile-time")
def test_it_does_not_depend_on_the_host(features, runtime):
    """Another environment, with nothing mounted and no privileges, changes nothing."""
    alone = ["unshare", "-m", "sh", "-c", 'umount -a -t cgroup,cgroup2,securityfs 2> /dev/null; exec "$@"', "sh"]
    assert json.loads(runtime("features", prefix=alone).out) == features
    unprivileged = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    assert json.loads(runtime("features", prefix=unprivileged).out) == features


# ---- hooks, mount options, annotations


@requirement("features.hooks")
def test_hooks(features, bundle, tmp_path):
    assert set(has(features, "hooks")) <= set(HOOKS)
    script = tmp_path / "hook"
    for place in (script, bundle.rootfs / "hook"):
        place.write_text(f"#!/bin/sh\ncd {bundle.rootfs} 2> /dev/null || cd /\nPATH=/bin\necho $1 >> ran\n")
        place.chmod(0o755)
    bundle.rootfs.chmod(0o777)
    bundle.config["hooks"] = {
        kind: [{"path": "/hook" if kind == "startContainer" else str(script), "args": ["hook", kind]}]
        for kind in features["hooks"]
    }
    bundle.out("sleep 0.5")
    assert set((bundle.rootfs / "ran").read_text().split()) == set(features["hooks"])


@requirement("features.mount-options")
def test_mount_options(features, bundle):
    """None of them is handed to the file system, which would not know it."""
    (bundle.path / "source").mkdir()
    for option in has(features, "mountOptions"):
        if option in ("remount", "mand", "nomand", "idmap", "ridmap", "acl", "noacl"):
            continue
        if option in ("bind", "rbind"):
            bundle.mount(f"/mnt/{option}", "none", bundle.path / "source", [option])
        else:
            bundle.mount(f"/mnt/{option}", "tmpfs", "tmpfs", [option])
    assert bundle.out("echo here") == "here"


@requirement("features.mount-options.no-data")
def test_no_options_of_one_file_system(features):
    assert not OPTIONS_OF_ONE_FILE_SYSTEM & {option.partition("=")[0] for option in has(features, "mountOptions")}


@requirement("features.annotations")
def test_annotations(features):
    annotations = has(features, "annotations")
    assert all(isinstance(value, str) for value in annotations.values())
    assert "" not in annotations


@requirement("features.unsafe-annotations")
def test_unsafe_annotations(features):
    found = has(features, "potentiallyUnsafeConfigAnnotations")
    assert all(isinstance(key, str) and key for key in found)


# ---- linux


@requirement("features.linux.namespaces")
def test_namespaces(linux, bundle):
    kinds = has(linux, "namespaces")
    assert set(kinds) <= {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}
    for kind in set(kinds) - {"user"}:
        bundle.namespace(kind)
    assert bundle.out("echo here") == "here"


@requirement("features.linux.capabilities")
def test_capabilities(linux, bundle):
    """None is warned of as unknown; the runtime itself may lack some."""
    names = has(linux, "capabilities")
    assert all(name.startswith("CAP_") for name in names)
    bundle.process["capabilities"] = {"bounding": names}
    try:
        message = bundle.create("true").created.err
    except Refused as error:
        # not all that are known can be had
        message = str(error)
    assert "unknown" not in message.lower()


@requirement("features.linux.cgroup")
def test_cgroup(linux):
    found = has(linux, "cgroup")
    for name in set(found) & {"v1", "v2", "systemd", "systemdUser", "rdma"}:
        assert isinstance(found[name], bool), name
    assert set(found) <= {"v1", "v2", "systemd", "systemdUser", "rdma"}
    assert found["v1"] or found["v2"]


def filtered(bundle, rule=None, **members):
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **members}
    if rule:
        bundle.linux["seccomp"]["syscalls"] = [{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", **rule}]
    try:
        bundle.run("true")
    except Refused as error:
        return str(error)
    return ""


@requirement("features.linux.seccomp.actions")
def test_actions(linux, bundle, tmp_path):
    for action in has(linux, "seccomp", "actions"):
        if action != "SCMP_ACT_NOTIFY":
            assert not filtered(bundle, {"action": action}), action


@requirement("features.linux.seccomp.operators")
def test_operators(linux, bundle):
    for operator in has(linux, "seccomp", "operators"):
        condition = {"index": 0, "op": operator, "value": 7, "valueTwo": 7}
        assert not filtered(bundle, {"args": [condition]}), operator


@requirement("features.linux.seccomp.archs")
def test_architectures(linux, bundle):
    """One whose byte order is another's cannot be in one filter, but the name is known."""
    known = has(linux, "seccomp", "archs")
    unknown = filtered(bundle, {}, architectures=["SCMP_ARCH_OF_TOMORROW"])
    for name in known:
        problem = filtered(bundle, {}, architectures=[name])
        assert not problem or problem != unknown.replace("SCMP_ARCH_OF_TOMORROW", name), name


@requirement("features.linux.seccomp.known-flags", "features.linux.seccomp.supported-flags")
def test_flags(linux, bundle):
    known = has(linux, "seccomp", "knownFlags")
    supported = has(linux, "seccomp", "supportedFlags")
    assert set(supported) <= set(known)
    for flag in supported:
        if flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
            assert not filtered(bundle, {}, flags=[flag]), flag


@pytest.mark.parametrize(
    ("name", "members"),
    [
        pytest.param(name, members, marks=requirement(f"features.linux.{word}"), id=name)
        for name, word, members in (
            ("apparmor", "apparmor", ["enabled"]),
            ("selinux", "selinux", ["enabled"]),
            ("intelRdt", "intel-rdt", ["enabled", "schemata", "monitoring"]),
            ("netDevices", "net-devices", ["enabled"]),
        )
    ],
)
def test_what_is_supported(linux, name, members):
    found = has(linux, name)
    assert set(found) <= set(members)
    assert all(isinstance(value, bool) for value in found.values())


@requirement("features.linux.memory-policy.modes", "features.linux.memory-policy.flags")
def test_memory_policies(linux):
    found = has(linux, "memoryPolicy")
    modes = {"DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY", "WEIGHTED_INTERLEAVE"}
    assert {name.removeprefix("MPOL_") for name in found["modes"]} <= modes
    assert {name.removeprefix("MPOL_F_") for name in found["flags"]} <= {
        "NUMA_BALANCING", "RELATIVE_NODES", "STATIC_NODES",
    }  # fmt: skip


@requirement("features.linux.idmap")
def test_maps_of_mounts(linux, bundle):
    """Whether they are known is what it says, not whether this kernel can do it."""
    enabled = has(linux, "mountExtensions", "idmap", "enabled")
    assert isinstance(enabled, bool)
    ids = [{"containerID": 0, "hostID": 5000, "size": 10}]
    bundle.mounts.append(
        {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["idmap"]}
        | {"uidMappings": ids, "gidMappings": ids}
    )
    bundle.process["user"] = {"uid": 0, "gid": 0}
    try:
        bundle.run("true")
    except Refused as error:
        assert not enabled or "mnt" in str(error)
    else:
        assert enabled
