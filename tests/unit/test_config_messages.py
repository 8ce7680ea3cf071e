"""What a user reads about a wrong config: where it is, what stands there, and what would be right."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valid_configs import BASE, FULL, IDS, PARTS, change, without

from pyruntime.config.check import OTHER_PLATFORMS, check, check_isolation
from pyruntime.config.load import parse_config
from pyruntime.errors import ConfigError
from pyruntime.run.create import Bundle

RLIMITS = (
    "one of RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK, "
    "RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO, RLIMIT_RTTIME, "
    "RLIMIT_SIGPENDING, RLIMIT_STACK"
)
NAMESPACES = "one of pid, network, mount, ipc, uts, user, cgroup, time"
PROPAGATIONS = "one of shared, slave, private, unbindable, rshared, rslave, rprivate, runbindable"
ACTIONS = (
    "one of SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP, SCMP_ACT_ERRNO, "
    "SCMP_ACT_TRACE, SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY"
)


def message(config):
    with pytest.raises(ConfigError) as caught:
        check(parse_config(json.dumps(config).encode()))
    text = str(caught.value)
    assert "\n" not in text
    return text


# path, wrong value, message without the path; the path of the message if it is another one
REFUSED = [
    ("process.rlimits[0].type", "RLIMIT_FOO", f'"RLIMIT_FOO" is not a resource limit ({RLIMITS})'),
    ("process.rlimits[0].type", 3, f"3 is not a resource limit ({RLIMITS})"),
    ("process.rlimits[0].soft", -1, "-1 is not in range (0 to 18446744073709551615)"),
    ("process.rlimits[0].soft", 1.0, "1.0 is not an integer"),
    ("process.rlimits[0].soft", True, "true is not an integer"),
    ("process.rlimits[0].soft", "1024", '"1024" is not an integer'),
    ("process.rlimits[0].hard", 2**64, "18446744073709551616 is not in range (0 to 18446744073709551615)"),
    ("process.rlimits", {}, "{} is not an array"),
    # some of runc's texts are what its users search for
    ("process.args", [], "args must not be empty"),
    ("process.args", "sh", '"sh" is not an array'),
    ("process.args[1]", None, "null is not a string"),
    ("process.args[0]", 7, "7 is not a string"),
    ("process.cwd", "x", 'Cwd must be an absolute path: "x"'),
    ("process.cwd", "", "Cwd must be an absolute path"),
    ("process.cwd", 5, "5 is not a string"),
    ("process.env[0]", "PATH", "invalid environment variable: missing '=': \"PATH\""),
    ("process.env[1]", "=x", "invalid environment variable: missing '=': \"=x\""),
    ("process.terminal", "yes", '"yes" is not true or false'),
    ("process.terminal", 1, "1 is not true or false"),
    ("process.consoleSize.height", 70000, "70000 is not in range (0 to 65535)"),
    ("process.user.uid", 2**32 - 1, "4294967295 is not a user or group id (0 to 4294967294)"),
    ("process.user.umask", 512, "512 is not in range (0 to 511)"),
    ("process.user.additionalGids", [0] * 257, "has 257 entries, more than 256"),
    ("process.oomScoreAdj", 1001, "1001 is not in range (-1000 to 1000)"),
    ("process.capabilities", ["CAP_KILL"], '["CAP_KILL"] is not an object'),
    ("process", "sh", '"sh" is not an object'),
    ("root", "rootfs", '"rootfs" is not an object'),
    ("root.path", "", "must not be empty"),
    ("ociVersion", 1, "1 is not a string"),
    ("ociVersion", "", "must not be empty"),
    ("mounts", {}, "{} is not an array"),
    ("mounts[0].options", "ro", '"ro" is not an array'),
    ("mounts[1]", 7, "7 is not an object"),
    ("hooks.poststop[0].path", "hook", '"hook" is not an absolute path'),
    ("hooks.poststop[0].timeout", 0, "0 is not in range (1 to 2147483647)"),
    ("annotations", {"com.example.a": 1}, "1 is not a string", 'annotations["com.example.a"]'),
    ("annotations", {"plain": 1}, "1 is not a string", "annotations.plain"),
    ("annotations", {'a"b\n': 1}, "1 is not a string", 'annotations["a\\"b\\n"]'),
    ("linux.sysctl", {"net.ipv4.ip_forward": 1}, "1 is not a string", 'linux.sysctl["net.ipv4.ip_forward"]'),
    ("linux.namespaces[0].type", "net", f'"net" is not a namespace type ({NAMESPACES})'),
    ("linux.namespaces[0].path", "proc", '"proc" is not an absolute path'),
    ("linux.uidMappings[0].size", 0, "0 is not in range (1 to 4294967295)"),
    ("linux.uidMappings", IDS * 341, "has 341 entries, more than 340"),
    ("linux.devices[0].type", "d", '"d" is not a device type (one of c, b, u, p)'),
    ("linux.devices[0].major", 5000, "5000 is not the major number of a device (0 to 4095)"),
    ("linux.devices[0].path", "dev/x", '"dev/x" is not an absolute path'),
    ("linux.resources.devices[0].access", "rwx", '"rwx" is not made of r, w and m'),
    ("linux.resources.devices[0].type", "p", '"p" is not a type of device rule (one of a, b, c)'),
    ("linux.resources.memory.limit", -2, "-2 is not in range (-1 to 9223372036854775807)"),
    ("linux.resources.pids.limit", "max", '"max" is not an integer'),
    ("linux.resources.blockIO.weightDevice[0]", {"major": 1, "minor": 1},
     'weight or leafWeight is needed: {"major": 1, "minor": 1}'),
    ("linux.resources.hugepageLimits[0].pageSize", "2mb", '"2mb" is not a huge page size such as 2MB'),
    ("linux.resources.rdma", {"mlx5_1": {}}, "hcaHandles or hcaObjects is needed: {}", "linux.resources.rdma.mlx5_1"),
    ("linux.rootfsPropagation", "rshare", f'"rshare" is not a mount propagation ({PROPAGATIONS})'),
    ("linux.seccomp.syscalls[0].names", [], "must not be empty"),
    ("linux.seccomp.defaultAction", "KILL", f'"KILL" is not a seccomp action ({ACTIONS})'),
    ("linux.personality.flags", ["x"], 'no personality flag is supported: ["x"]'),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}={case[1]!r:.20}")
def test_wrong_values(case):
    path, value, text, *place = case
    assert message(change(FULL, path, value)) == f"{place[0] if place else path}: {text}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ociVersion", "is missing"),
        ("root", "is missing"),
        ("root.path", "is missing"),
        ("process.args", "args must not be empty"),
        ("process.cwd", "Cwd property must not be empty"),
        ("process.rlimits[0].hard", "is missing"),
        ("process.consoleSize.width", "is missing"),
        ("mounts[0].destination", "is missing"),
        ("hooks.prestart[0].path", "is missing"),
        ("linux.namespaces[1].type", "is missing"),
        ("linux.seccomp.defaultAction", "is missing"),
        ("linux.resources.hugepageLimits[0].limit", "is missing"),
    ],
)
def test_missing_members(path, text):
    """One that is null is missing too."""
    assert message(without(FULL, path)) == f"{path}: {text}"
    assert message(change(FULL, path, None)) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "[] is not an object"),
        (7, "7 is not an object"),
        ("config", '"config" is not an object'),
        (None, "null is not an object"),
        ({}, "ociVersion: is missing"),
    ],
)
def test_documents_that_are_no_config(document, text):
    assert message(document) == text


def test_long_values_are_cut():
    assert message(change(BASE, "hostname", ["x" * 1000])) == f'hostname: ["{"x" * 55}... is not a string'


def test_the_outermost_error_is_reported():
    """What is wrong further in may follow from it."""
    assert message(change(FULL, "process.args", 7) | {"root": 7}) == "root: 7 is not an object"


def test_every_keyword_of_the_schema_has_a_message_of_ours():
    """jsonschema's own messages show Python values and whole schemas."""
    known = {
        "type", "enum", "minimum", "maximum", "minLength", "minItems", "maxItems", "pattern", "required", "properties",
        "items", "additionalProperties", "title", "description", "x-message", "$schema", "$id", "$defs",
    }  # fmt: skip
    for path, part in PARTS.items():
        assert part.keys() <= known or (part.keys() <= {*known, "anyOf"} and "x-message" in part), path


def concrete(path):
    """Returns the path to a part in FULL, and what stands there."""
    place, shown = FULL, ""
    for step in path.split("."):
        if step == "*":
            place, shown = place[0], f"{shown}[0]"
        elif step == "{}":
            step, place = next(iter(place.items()))
            shown += f".{step}" if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", step) else f'["{step}"]'
        else:
            place, shown = place[step], f"{shown}.{step}" if shown else step
    return shown


# null is none of them: it is as if the member was not there
WRONG = {
    "string": [7, []],
    "integer": ["7", 1.5],
    "boolean": [0, "true"],
    "array": ["x", {}],
    "object": [[]],
}


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (path, wrong)
        for path, part in PARTS.items()
        if path and path not in ("process.capabilities.inheritable.*", "process.capabilities.ambient.*")
        for wrong in WRONG.get(part.get("type", ""), ["NO_SUCH_WORD", 7])
        if path != "linux.personality.flags.*"
    ],
)
def test_every_member_is_refused_by_its_name(path, wrong):
    """Whatever a member is, one of another type or none of its words is an error that says which."""
    shown = concrete(path)
    config = json.loads(json.dumps(FULL))
    place = config
    *steps, last = [int(step) if step.isdigit() else step for step in steps_of(shown)]
    for step in steps:
        place = place[step]
    place[last] = wrong
    assert message(config).startswith(f"{shown}: ")


def steps_of(shown):
    """Takes a path in a message apart."""
    return [name or number or quoted for name, number, quoted in re.findall(r'(\w+)|\[(\d+)\]|\["(.*?)"\]', shown)]


# what a schema cannot say
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ociVersion": "1.0"}, 'ociVersion: "1.0" is not a version (MAJOR.MINOR.PATCH)'),
        ({"ociVersion": "one"}, 'ociVersion: "one" is not a version (MAJOR.MINOR.PATCH)'),
        ({"ociVersion": "1.٣.0"}, 'ociVersion: "1.٣.0" is not a version (MAJOR.MINOR.PATCH)'),
        ({"ociVersion": f"1.{'9' * 5000}.0"}, f'ociVersion: "1.{"9" * 58}" is not a version (MAJOR.MINOR.PATCH)'),
        ({"ociVersion": "0.9.0"}, 'ociVersion: "0.9.0" is not supported (1.0.0 to 1.3.x)'),
        ({"ociVersion": "2.0.0"}, 'ociVersion: "2.0.0" is not supported (1.0.0 to 1.3.x)'),
        ({"annotations": {"": "x"}}, "annotations: a key is empty"),
        ({"linux.namespaces": [{"type": "pid"}] * 2}, 'linux.namespaces[1]: the type "pid" occurs twice'),
        (
            {"linux.uidMappings": IDS},
            "linux.uidMappings: User namespace mappings specified, but user namespace isn't enabled",
        ),
        ({"linux.namespaces": [{"type": "user"}]}, "linux.uidMappings: a new user namespace needs a mapping"),
        (
            {"linux.namespaces": [{"type": "user"}], "linux.uidMappings": IDS},
            "linux.gidMappings: a new user namespace needs a mapping",
        ),
        (
            {
                "linux.namespaces": [{"type": "user"}],
                "linux.uidMappings": [{"containerID": 1, "hostID": 0, "size": 1}],
            },
            "linux.uidMappings: id 0 of the container is not mapped",
        ),
        (
            {
                "linux.namespaces": [{"type": "user"}],
                "linux.uidMappings": [*IDS, {"containerID": 65535, "hostID": 0, "size": 1}],
            },
            "linux.uidMappings[1].containerID: overlaps with linux.uidMappings[0]",
        ),
        (
            {
                "linux.namespaces": [{"type": "user"}],
                "linux.uidMappings": [*IDS, {"containerID": 65536, "hostID": 100000, "size": 1}],
            },
            "linux.uidMappings[1].hostID: overlaps with linux.uidMappings[0]",
        ),
        (
            {
                "linux.namespaces": [{"type": "user"}],
                "linux.uidMappings": [{"containerID": 0, "hostID": 1, "size": 2**32 - 1}],
            },
            "linux.uidMappings[0]: reaches beyond id 4294967294",
        ),
        (
            {"process.rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2},
            'process.rlimits[1].type: "RLIMIT_CPU" occurs twice',
        ),
        (
            {"process.rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]},
            "process.rlimits[0].soft: 2 is more than the hard limit, 1",
        ),
    ],
)
def test_rules_between_members(changes, text):
    config = BASE
    for path, value in changes.items():
        config = change(config, path, value)
    assert message(config) == text


def test_warnings():
    """A later 1.x and the sections of other platforms change nothing here; they are not passed over in silence."""
    assert check(BASE) == []
    assert check(BASE | {"ociVersion": "1.3.7-rc.1+x"}) == []
    assert check(BASE | {"ociVersion": "1.4.0"}) == [
        "ociVersion 1.4.0 is newer than this runtime, which knows 1.3: new properties are ignored"
    ]
    for name in OTHER_PLATFORMS:
        assert check({**BASE, name: {}}) == [f"{name}: is for another platform and is ignored"]


ALL = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}


@pytest.mark.parametrize(
    ("path", "value", "missing", "text"),
    [
        ("hostname", "web", "uts", "hostname: unable to set hostname without a private UTS namespace"),
        ("domainname", "web", "uts", "domainname: unable to set domainname without a private UTS namespace"),
        ("hostname", "ü" * 33, "", "hostname: is longer than 64 bytes"),
    ],
)
def test_what_needs_a_namespace(path, value, missing, text):
    """Without it the host itself would be changed."""
    with pytest.raises(ConfigError) as caught:
        check_isolation(change(BASE, path, value), ALL - {missing})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("kernel.msgmax", "ipc"), ("kernel/shmall", "ipc"), ("fs.mqueue.msg_max", "ipc"), ("fs/mqueue/msg_max", "ipc"),
        ("net.ipv4.ip_forward", "network"), ("net/ipv4/conf/eth0.1/forwarding", "network"),
        ("user.max_user_namespaces", "user"), ("kernel.domainname", "uts"),
    ],
)  # fmt: skip
def test_sysctls_need_the_namespace_they_belong_to(key, kind):
    config = change(BASE, "linux", {"sysctl": {key: "1"}})
    check_isolation(config, ALL)
    with pytest.raises(ConfigError) as caught:
        check_isolation(config, ALL - {kind})
    assert caught.value.origin == f'linux.sysctl["{key}"]'


@pytest.mark.parametrize(
    "key",
    [
        "vm.swappiness", "kernel.core_pattern", "kernel.hostname", "kernel.msgmax2", "kernel.sem.x", "net", "netx.y",
        "", ".", "/", "..", "net..ipv4", "net/../kernel/core_pattern", "../kernel/core_pattern", "/net/ipv4",
        "net.ipv4.", "net.ipv4.\n", "net.ipv4 x", 'net."', "net.ipv4\x00x", "fs.mqueue", "NET.ipv4.x",
        "fs/mqueue/../../kernel/sem", "net.ipv4/../x", "net/./x",
    ],
)  # fmt: skip
def test_other_sysctls_are_refused(key):
    """They would change the host, or lead to a file elsewhere below /proc."""
    with pytest.raises(ConfigError) as caught:
        check_isolation(change(BASE, "linux", {"sysctl": {key: "1"}}), ALL)
    assert caught.value.origin == f"linux.sysctl[{json.dumps(key, ensure_ascii=False)}]"
    assert "\n" not in str(caught.value)


@given(st.text())
def test_no_sysctl_leads_out_of_its_namespace(key):
    """What passes has no empty part, in either notation, and begins as one that the kernel keeps per namespace."""
    try:
        check_isolation(change(BASE, "linux", {"sysctl": {key: "1"}}), ALL)
    except ConfigError:
        return
    assert key.replace(".", "/").split("/")[0] in ("net", "user", "fs", "kernel")
    assert "" not in key.replace(".", "/").split("/")


@given(st.text(alphabet="0123456789.+-rc٣ x", max_size=12))
def test_any_version_is_judged(version):
    """Every text is either accepted or refused as a version; none is an accident."""
    numbers = version.split("+")[0].split("-")[0].split(".")
    if len(numbers) == 3 and numbers[0].lstrip("0") == "1" and all(set(part) & set("0123456789") for part in numbers):
        return  # may be one; test_warnings has what is
    with pytest.raises(ConfigError, match=r"^ociVersion: "):
        check({**BASE, "ociVersion": version})


def test_a_bundle_names_the_line(tmp_path):
    text = json.dumps(change(FULL, "process.rlimits[0].type", "RLIMIT_FOO"), indent=1)
    (tmp_path / "config.json").write_text(text)
    number = text[: text.index('"RLIMIT_FOO"')].count("\n") + 1
    with pytest.raises(Exception, match=rf"^process\.rlimits\[0\]\.type: .* \(config\.json, line {number}\)$"):
        Bundle(str(tmp_path))
