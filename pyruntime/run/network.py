"""linux.netDevices: moves network devices from the host into the container, with pyroute2 (rtnetlink(7)).

The container's side is a netlink socket that init has made in there; so nobody of ours enters the namespace. The socket
also keeps the namespace alive, and with it the devices, should init end and they have to come back.
"""

from pyroute2 import IPRoute, NetlinkError

from ..errors import PyruntimeError, error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# linux/if_addr.h, linux/rtnetlink.h, linux/if.h
IFA_F_PERMANENT, RT_SCOPE_UNIVERSE, RTPROT_KERNEL, RT_TABLE_LOCAL, RTN_UNICAST, IFF_UP = 0x80, 0, 2, 255, 1, 1
# what of an address and of a route makes it that address and that route
ADDRESS = ("address", "local", "broadcast", "anycast")
ROUTE = ("dst", "gateway", "prefsrc", "priority", "table")


class Device:
    """What is known of a device that is moved: enough to make it the same again elsewhere."""

    def __init__(self, side: "Any", link: "Any") -> None:
        self.index: int = link["index"]
        self.name: str = link.get("ifname")
        self.was_up = bool(link["flags"] & IFF_UP)
        self.addresses = [
            _picked(entry, ADDRESS, ("family", "prefixlen"))
            for entry in side.get_addr(index=self.index)
            if _is_kept_address(entry)
        ]
        self.routes = [
            _picked(entry, ROUTE, ("family", "dst_len", "tos", "scope", "proto", "type"))
            for entry in side.get_routes(oif=self.index)
            if _is_kept_route(entry)
        ]


def _picked(entry: "Any", attributes: tuple[str, ...], fields: tuple[str, ...]) -> "dict[str, Any]":
    found = {name: entry.get(name) for name in attributes if entry.get(name) is not None}
    return found | {name: entry[name] for name in fields}


def _is_kept_address(entry: "Any") -> bool:
    """config-linux.md, Network Devices: permanent addresses of global scope."""
    flags = entry.get("flags") or 0
    return bool(flags & IFA_F_PERMANENT) and entry["scope"] == RT_SCOPE_UNIVERSE


def _is_kept_route(entry: "Any") -> bool:
    """What somebody has set. The kernel's own come back with the addresses."""
    is_set = entry["proto"] != RTPROT_KERNEL and entry.get("table") != RT_TABLE_LOCAL
    return bool(is_set and entry["type"] == RTN_UNICAST)


class Network:
    """The two sides, and the devices that have been moved from one to the other."""

    def __init__(self, fd: int, pid: int) -> None:
        """`fd` is a netlink socket of the container's network namespace, and becomes this object's; `pid` is in it."""
        self._pid = pid
        self._host = IPRoute()
        self._inside = IPRoute(fileno=fd)
        self._moved: list[tuple[Device, int]] = []

    def close(self) -> None:
        self._host.close()
        self._inside.close()

    def move(self, name: str, new: str) -> None:
        """Moves the device `name` and calls it `new`, which may end in %d for the kernel to choose a number.

        Raises PyruntimeError; a device that could not be set up as it was is back where it was then.
        """
        link = _find(self._host, name)
        if link is None:
            raise PyruntimeError(f"link not found for interface {name} on runtime namespace")
        if "%" not in new and _find(self._inside, new) is not None:
            raise PyruntimeError(f"the container has a network device {new} already")
        device = Device(self._host, link)
        known = {entry["index"] for entry in self._inside.get_links()}
        try:
            self._host.link("set", index=device.index, state="down")
            self._host.link("set", index=device.index, ifname=new, net_ns_pid=self._pid)
        except NetlinkError as error:
            if device.was_up:
                self._host.link("set", index=device.index, state="up")
            text = error_text(error.code)
            raise PyruntimeError(f"fail to move network device {name} to the container: {text}") from None
        (index,) = {entry["index"] for entry in self._inside.get_links()} - known
        self._moved.append((device, index))
        try:
            _set_up(self._inside, device, index)
        except NetlinkError as error:
            raise PyruntimeError(
                f"fail to set up network device {new} in the container: {error_text(error.code)}"
            ) from None

    def restore(self) -> None:
        """Brings all devices back, for a create that failed (config-linux.md: as if it were never attempted)."""
        from posix import getpid

        for device, index in reversed(self._moved):
            known = {entry["index"] for entry in self._host.get_links()}
            self._inside.link("set", index=index, state="down")
            self._inside.link("set", index=index, ifname=device.name, net_ns_pid=getpid())
            (back,) = {entry["index"] for entry in self._host.get_links()} - known
            _set_up(self._host, device, back, up=device.was_up)
        self._moved.clear()
        self.close()


def _find(side: "Any", name: str) -> "Any":
    return next((entry for entry in side.get_links() if entry.get("ifname") == name), None)


def _set_up(side: "Any", device: Device, index: int, *, up: bool = True) -> None:
    """Gives a device the addresses and routes that it had before it was moved. Raises NetlinkError."""
    for address in device.addresses:
        side.addr("add", index=index, **address)
    if not up:
        return
    side.link("set", index=index, state="up")
    # those of the link first: the others lead over them
    for route in sorted(device.routes, key=lambda route: "gateway" in route):
        side.route("add", oif=index, **route)
