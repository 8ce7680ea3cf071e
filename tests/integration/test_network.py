"""The loopback device, and linux.netDevices: devices of the host that move into the container as they are.

The host of these tests is a network namespace of their own.
"""

import json
import subprocess
import uuid

import pytest


class Host:
    """A network namespace that the runtime believes to be the host's."""

    def __init__(self):
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)

    def ip(self, *words, check=True):
        command = ["ip", "-n", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=check).stdout

    def links(self):
        return {entry["ifname"].partition("@")[0] for entry in json.loads(self.ip("-j", "link"))}

    def addresses(self, device):
        (entry,) = json.loads(self.ip("-j", "addr", "show", "dev", device))
        return {address["local"] for address in entry["addr_info"] if address["scope"] == "global"}

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=True)


@pytest.fixture
def host(runtime):
    host = Host()
    runtime.prefix = ["nsenter", f"--net=/run/netns/{host.name}"]
    host.ip("link", "add", "dev0", "type", "veth", "peer", "name", "peer0")
    host.ip("link", "set", "peer0", "up")
    host.ip("link", "set", "dev0", "up")
    host.ip("addr", "add", "10.11.12.13/24", "dev", "dev0")
    host.ip("addr", "add", "2001:db8::1/64", "dev", "dev0", "nodad")
    host.ip("route", "add", "10.99.0.0/16", "via", "10.11.12.1", "dev", "dev0", "metric", "42")
    host.ip("route", "add", "2001:db8:9::/48", "via", "2001:db8::2", "dev", "dev0")
    yield host
    host.close()


SHOW = "ip addr; ip route; ip -6 route"


def test_loopback_is_up_in_a_new_namespace(bundle):
    """Programs take 127.0.0.1 for granted, and runc gives it to them."""
    out = bundle.run("ip addr show lo").out
    assert "<LOOPBACK,UP" in out
    assert "inet 127.0.0.1/8" in out


def test_loopback_of_a_namespace_that_is_joined_is_left_alone(bundle, host):
    bundle.namespace("network", f"/run/netns/{host.name}")
    bundle.runtime.prefix = []
    assert "<LOOPBACK,UP" not in bundle.run("ip addr show lo").out


@pytest.mark.parametrize("new", ["", "lan0"])
def test_a_device_moves_with_what_it_has(bundle, host, new):
    """config-linux.md: permanent addresses of global scope are kept, and the device is up."""
    bundle.linux["netDevices"] = {"dev0": {"name": new} if new else {}}
    name = new or "dev0"
    out = bundle.run(SHOW).out
    assert f" {name}@" in out
    line = next(line for line in out.splitlines() if f" {name}@" in line)
    assert "UP" in line.partition("<")[2].partition(">")[0].split(",")
    assert "inet 10.11.12.13/24" in out
    assert "inet6 2001:db8::1/64 scope global" in out
    assert f"10.99.0.0/16 via 10.11.12.1 dev {name}  metric 42" in out
    assert f"2001:db8:9::/48 via 2001:db8::2 dev {name}" in out
    assert "dev0" not in host.links()


def test_a_device_that_was_down_comes_up(bundle, host):
    host.ip("link", "set", "dev0", "down")
    bundle.linux["netDevices"] = {"dev0": {}}
    out = bundle.run(SHOW).out
    line = next(line for line in out.splitlines() if " dev0@" in line)
    assert "UP" in line.partition("<")[2].partition(">")[0].split(",")


def test_a_name_for_the_kernel_to_number(bundle, host):
    host.ip("link", "add", "dev1", "type", "veth", "peer", "name", "peer1")
    bundle.linux["netDevices"] = {"dev0": {"name": "lan%d"}, "dev1": {"name": "lan%d"}}
    out = bundle.run(SHOW).out
    assert " lan0@" in out
    assert " lan1@" in out


def test_what_is_not_permanent_or_not_global_stays_behind(bundle, host):
    host.ip("addr", "add", "10.20.0.1/24", "dev", "dev0", "valid_lft", "1000", "preferred_lft", "1000")
    host.ip("addr", "add", "10.21.0.1/24", "dev", "dev0", "scope", "link")
    bundle.linux["netDevices"] = {"dev0": {}}
    out = bundle.run(SHOW).out
    assert "10.11.12.13" in out
    assert "10.20.0.1" not in out
    assert "10.21.0.1" not in out


def test_into_a_namespace_that_is_joined(bundle, host):
    other = Host()
    try:
        bundle.namespace("network", f"/run/netns/{other.name}")
        bundle.linux["netDevices"] = {"dev0": {}}
        assert "10.11.12.13" in bundle.run(SHOW).out
        # the namespace outlives the container, and the runtime takes nothing out of it
        assert other.addresses("dev0") == {"10.11.12.13", "2001:db8::1"}
    finally:
        other.close()


def test_in_a_user_namespace(bundle, host):
    bundle.namespace("user")
    maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux.update(uidMappings=maps, gidMappings=maps, netDevices={"dev0": {"name": "lan0"}})
    assert "inet 10.11.12.13/24" in bundle.run(SHOW).out


def test_a_device_that_is_not_there(bundle, host):
    bundle.linux["netDevices"] = {"dev7": {}}
    message = bundle.fails()
    assert 'linux.netDevices["dev7"]' in message
    assert "link not found for interface dev7 on runtime namespace" in message


def test_a_name_that_is_taken(bundle, host):
    bundle.linux["netDevices"] = {"dev0": {"name": "lo"}}
    assert "the container has a network device lo already" in bundle.fails()
    assert host.addresses("dev0") == {"10.11.12.13", "2001:db8::1"}


def test_without_a_namespace_of_its_own(bundle, host):
    bundle.namespace("network", False)
    bundle.linux["netDevices"] = {"dev0": {}}
    assert "unable to move network devices without a private NET namespace" in bundle.fails()


@pytest.mark.parametrize("late", ["second device", "hook", "mount"])
def test_a_create_that_fails_brings_the_device_back(bundle, host, late):
    """runtime.md: as if the operation were never attempted; the kernel would destroy a virtual device."""
    before = host.ip("route") + host.ip("-6", "route", "show", "2001:db8:9::/48")
    bundle.linux["netDevices"] = {"dev0": {"name": "lan0"}}
    match late:
        case "second device":
            bundle.linux["netDevices"]["dev7"] = {}
        case "hook":
            bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
        case "mount":
            bundle.mounts.append({"destination": "/data", "type": "nosuchfs", "source": "none"})
    bundle.fails()
    assert "dev0" in host.links()
    assert host.addresses("dev0") == {"10.11.12.13", "2001:db8::1"}
    assert host.ip("route") + host.ip("-6", "route", "show", "2001:db8:9::/48") == before
