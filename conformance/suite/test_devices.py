"""Devices, rules about them, default devices, netDevices (config-linux.md), and links in /dev (runtime-linux.md)."""

import json
import os
import stat
import subprocess
import uuid
from pathlib import Path

import pytest
from containers import not_applicable, requirement

FUSE = {"type": "c", "major": 10, "minor": 229}
KMSG = {"type": "c", "major": 1, "minor": 11}
SHOW = "stat -c '%F %t:%T %a %u:%g'"


# ---- default devices, links


@requirement("linux.default-devices")
def test_default_devices(bundle):
    script = "cd /dev; stat -L -c '%n %F %t:%T' null zero full random urandom tty ptmx"
    assert bundle.out(script).splitlines() == [
        "null character special file 1:3",
        "zero character special file 1:5",
        "full character special file 1:7",
        "random character special file 1:8",
        "urandom character special file 1:9",
        "tty character special file 5:0",
        "ptmx character special file 5:2",
    ]


@requirement("linux.default-devices")
def test_default_devices_can_be_used(bundle):
    """By a user who is not root, and whatever the rules about devices say."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.resources["devices"] = [{"allow": False, "access": "rwm"}]
    bundle.out(
        "for name in null zero full random urandom; do head -c 1 /dev/$name > /dev/null || exit 1; done; : <> /dev/ptmx"
    )


@requirement("runtime-linux.dev-links")
def test_links(bundle):
    script = "for name in fd stdin stdout stderr; do readlink /dev/$name; done"
    assert bundle.out(script).split() == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]


# ---- linux.devices


DEVICES = [
    ({**FUSE, "path": "/dev/fuse"}, "character special file a:e5"),
    ({"type": "u", "major": 10, "minor": 229, "path": "/dev/old"}, "character special file a:e5"),
    ({"type": "b", "major": 7, "minor": 7, "path": "/dev/disk"}, "block special file 7:7"),
    ({"type": "p", "path": "/dev/pipe"}, "fifo 0:0"),
    ({**FUSE, "path": "/opt/deep/fuse"}, "character special file a:e5"),
]


@requirement("linux.devices", "linux.devices.type", "linux.devices.path", "linux.devices.numbers")
@pytest.mark.parametrize(("device", "shown"), DEVICES, ids=[entry["path"] for entry, _ in DEVICES])
def test_devices(bundle, device, shown):
    bundle.linux["devices"] = [device]
    assert bundle.out(f"stat -c '%F %t:%T' {device['path']}") == shown


@requirement("linux.devices.file-mode", "linux.devices.owner")
@pytest.mark.parametrize("path", ["/dev/fuse", "/opt/fuse"])
def test_mode_and_owner(bundle, path):
    bundle.linux["devices"] = [{**FUSE, "path": path, "fileMode": 0o640, "uid": 7, "gid": 8}]
    assert bundle.out(f"{SHOW} {path}") == "character special file a:e5 640 7:8"


@requirement("linux.devices.file-mode")
def test_the_mode_does_not_depend_on_the_umask(bundle):
    bundle.linux["devices"] = [{**FUSE, "path": "/dev/fuse", "fileMode": 0o666}]
    caller = ["sh", "-c", 'umask 0077; exec "$@"', "sh"]
    assert bundle.out("stat -c %a /dev/fuse", prefix=caller) == "666"


@requirement("linux.devices.owner")
def test_the_owner_in_a_user_namespace(bundle):
    """No device can be made there: the host's may be bound, and keeps its owner."""
    bundle.map_ids()
    if not Path("/dev/fuse").exists():
        not_applicable("this host has no /dev/fuse")
    bundle.linux["devices"] = [{**FUSE, "path": "/dev/fuse"}]
    assert bundle.out("stat -c %F /dev/fuse") == "character special file"


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(name, marks=requirement(f"linux.devices.{word}"), id=name)
        for name, word in (("type", "type"), ("path", "path"), ("major", "numbers"), ("minor", "numbers"))
    ],
)
def test_a_device_that_lacks_a_member(bundle, member):
    device = {**FUSE, "path": "/dev/fuse"}
    del device[member]
    bundle.linux["devices"] = [device]
    bundle.is_refused()


@requirement("linux.devices.type", "config.values.invalid")
@pytest.mark.parametrize("kind", ["", "x", "cb", "a", "C"])
def test_a_type_that_is_none(bundle, kind):
    bundle.linux["devices"] = [{**FUSE, "type": kind, "path": "/dev/fuse"}]
    bundle.is_refused()


@requirement("linux.devices.taken")
@pytest.mark.parametrize("kind", ["file", "directory", "link", "other device", "same numbers, other type"])
def test_a_path_that_is_taken(bundle, kind):
    path = bundle.rootfs / "thing"
    match kind:
        case "file":
            path.write_text("x")
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("bin/busybox")
        case "other device":
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        case _:
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(10, 229))
    bundle.linux["devices"] = [{**FUSE, "path": "/thing"}]
    bundle.is_refused()


@requirement("linux.devices")
def test_a_device_that_is_there_already(bundle):
    os.mknod(bundle.rootfs / "thing", stat.S_IFCHR | 0o600, os.makedev(10, 229))
    bundle.linux["devices"] = [{**FUSE, "path": "/thing"}]
    assert bundle.out("stat -c %t:%T /thing") == "a:e5"


# ---- rules about devices


ALL = {"allow": True, "access": "rwm"}
NONE = {"allow": False, "access": "rwm"}
RULES = [
    # rules, what can then be done with c 10:229 and with c 1:11
    ([NONE], "", ""),
    ([ALL], "rw", "rw"),
    ([NONE, {**FUSE, "allow": True, "access": "rw"}], "rw", ""),
    ([NONE, {**FUSE, "allow": True, "access": "r"}], "r", ""),
    ([NONE, {**FUSE, "allow": True, "access": "w"}], "w", ""),
    ([NONE, {**FUSE, "allow": True, "access": "rwm"}, NONE], "", ""),
    ([ALL, {**FUSE, "allow": False, "access": "rwm"}], "", "rw"),
    ([{**FUSE, "allow": False, "access": "rwm"}, ALL], "rw", "rw"),
    ([ALL, {**FUSE, "allow": False, "access": "w"}], "r", "rw"),
    ([NONE, {"allow": True, "type": "c", "major": 10, "access": "rw"}], "rw", ""),
    ([NONE, {"allow": True, "type": "c", "minor": 229, "access": "rw"}], "rw", ""),
    ([NONE, {"allow": True, "type": "c", "access": "rw"}], "rw", "rw"),
    ([NONE, {"allow": True, "type": "b", "access": "rw"}], "", ""),
    ([NONE, {"allow": True, "type": "a", "access": "rwm"}], "rw", "rw"),
    ([NONE, {**FUSE, "allow": True, "access": "r"}, {**KMSG, "allow": True, "access": "w"}], "r", "w"),
]


@requirement(
    "linux.resources.devices.order", "linux.resources.devices.allow", "linux.resources.devices.type",
    "linux.resources.devices.numbers", "linux.resources.devices.access",
)  # fmt: skip
@pytest.mark.parametrize(("rules", "fuse", "kmsg"), RULES, ids=[f"rules{number}" for number in range(len(RULES))])
def test_rules(bundle, rules, fuse, kmsg):
    """EPERM is what the rules say; the device itself may have another error."""
    os.mknod(bundle.rootfs / "fuse", stat.S_IFCHR | 0o666, os.makedev(10, 229))
    os.mknod(bundle.rootfs / "kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11))
    bundle.grant("CAP_SYSLOG", "CAP_SYS_ADMIN")
    bundle.resources["devices"] = rules
    words = bundle.out("for name in fuse kmsg; do probe read /$name; probe write /$name; done").split()
    allowed = [how if word != "1" else "" for how, word in zip("rwrw", words, strict=True)]
    assert ["".join(allowed[:2]), "".join(allowed[2:])] == [fuse, kmsg]


@requirement("linux.resources.devices.access")
@pytest.mark.parametrize(("access", "made"), [("m", True), ("rwm", True)])
def test_making_devices(bundle, access, made):
    bundle.grant("CAP_MKNOD")
    bundle.resources["devices"] = [NONE, {**FUSE, "allow": True, "access": access}]
    assert (bundle.run("mknod /made c 10 229").code == 0) == made


@requirement("linux.resources.devices.allow")
def test_a_rule_that_does_not_say_whether_it_allows(bundle):
    bundle.resources["devices"] = [{**FUSE, "access": "rw"}]
    bundle.is_refused()


@requirement("linux.resources.devices.type", "linux.resources.devices.access", "config.values.invalid")
@pytest.mark.parametrize(
    "change", [{"type": "x"}, {"type": "p"}, {"access": "x"}, {"access": "rwx"}, {"major": "10"}, {"minor": 1.5}]
)
def test_bad_rules(bundle, change):
    bundle.resources["devices"] = [{**FUSE, "allow": True, "access": "rw", **change}]
    bundle.is_refused()


# ---- network devices


class Host:
    """A network namespace that the runtime believes to be the host's, with a device dev0."""

    def __init__(self):
        self.name = f"conformance-{uuid.uuid4().hex[:8]}"
        done = subprocess.run(["ip", "netns", "add", self.name], check=False, capture_output=True)
        if done.returncode:
            not_applicable("no network namespace can be made by ip(8)")
        self.prefix = ["nsenter", f"--net=/run/netns/{self.name}"]
        self.ip("link", "add", "dev0", "type", "veth", "peer", "name", "peer0")
        self.ip("addr", "add", "10.11.12.13/24", "dev", "dev0")
        self.ip("addr", "add", "2001:db8::1/64", "dev", "dev0", "nodad")

    def ip(self, *words):
        return subprocess.run(["ip", "-n", self.name, *words], capture_output=True, text=True, check=True).stdout

    def names(self):
        return {entry["ifname"].partition("@")[0] for entry in json.loads(self.ip("-j", "link"))}

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=True)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


def flags(text, name):
    """Returns the flags that `ip addr` shows of a device."""
    lines = [line for line in text.splitlines() if f" {name}@" in line or f" {name}:" in line]
    assert lines, f"there is no {name}"
    return lines[0].partition("<")[2].partition(">")[0].split(",")


@requirement("linux.net-devices", "linux.net-devices.name", "linux.net-devices.up", "linux.net-devices.addresses")
@pytest.mark.parametrize("new", ["", "lan0"])
def test_a_device_moves_with_its_addresses(bundle, host, new):
    bundle.linux["netDevices"] = {"dev0": {"name": new} if new else {}}
    text = bundle.out("ip addr", prefix=host.prefix)
    assert "UP" in flags(text, new or "dev0")
    assert "10.11.12.13/24" in text
    assert "2001:db8::1/64" in text
    assert "dev0" not in host.names()


@requirement("linux.net-devices.template")
def test_a_template_for_the_name(bundle, host):
    bundle.linux["netDevices"] = {"dev0": {"name": "lan%d"}}
    assert "UP" in flags(bundle.out("ip addr", prefix=host.prefix), "lan0")


@requirement("linux.net-devices.addresses")
def test_what_is_of_the_link_alone_stays_behind(bundle, host):
    host.ip("addr", "add", "169.254.7.7/16", "scope", "link", "dev", "dev0")
    bundle.linux["netDevices"] = {"dev0": {}}
    text = bundle.out("ip addr", prefix=host.prefix)
    assert "10.11.12.13" in text
    assert "169.254.7.7" not in text


@requirement("linux.net-devices.check")
def test_a_device_that_is_not_there(bundle, host):
    bundle.linux["netDevices"] = {"missing0": {}}
    bundle.is_refused(prefix=host.prefix)


@requirement("linux.net-devices.check")
def test_a_device_without_a_network_namespace(bundle, host):
    bundle.namespace("network", False)
    bundle.without_mount("/sys")
    bundle.linux["netDevices"] = {"dev0": {}}
    bundle.is_refused(prefix=host.prefix)
    assert "dev0" in host.names()


@requirement("linux.net-devices.name-taken")
def test_a_name_that_is_taken(bundle, host):
    bundle.linux["netDevices"] = {"dev0": {"name": "lo"}}
    bundle.is_refused(prefix=host.prefix)
    assert "dev0" in host.names()


@pytest.fixture
def other():
    other = Host()
    other.ip("link", "del", "dev0")
    yield other
    other.close()


@requirement("linux.net-devices.left-alone", "linux.net-devices.stays")
def test_a_device_is_left_where_it_is(bundle, host, other):
    """What the container has changed stays, and so does the device in a namespace that outlives the container."""
    bundle.grant("CAP_NET_ADMIN")
    bundle.namespace("network", f"/run/netns/{other.name}")
    bundle.without_mount("/sys")
    bundle.linux["netDevices"] = {"dev0": {}}
    bundle.out("ip addr add 10.77.0.1/24 dev dev0; ip link set dev0 mtu 1400", prefix=host.prefix)
    assert "dev0" not in host.names()
    shown = other.ip("addr", "show", "dev", "dev0")
    assert "10.77.0.1/24" in shown
    assert "10.11.12.13/24" in shown
    assert "mtu 1400" in shown
