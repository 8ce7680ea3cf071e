"""`create`."""

import posix

from ..errors import PyruntimeError
from ..paths import SETTINGS, absolute, exists
from ..plan.facts import Request
from .console import PIDFD_SOCKET, announcer, connect_console
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..plan.ops import Op
    from ..run.create import Bundle
    from ..run.handshake import Observer
    from .flags import Values
    from .main import Context

DEVICE = Flag("device", [], "CDI device that the container is to have, VENDOR/CLASS=NAME; may be repeated")
ARGUMENTS = "ID"
DESCRIPTION = """
Makes a container from a bundle: namespaces, cgroups, mounts and all. Its
program does not run until `start`. ID is your name for it, of letters, digits
and _ + - . and must be unique on the host.
"""
FLAGS = (
    Flag("bundle", "", "directory of the bundle (default: the current directory)", "b"),
    Flag("console-socket", "", "AF_UNIX socket that is sent the terminal's descriptor"),
    PIDFD_SOCKET,
    Flag("pid-file", "", "file to write the pid of the container's first process to"),
    Flag("no-pivot", False, "move the root in place of pivot_root, for a host that runs from a ramdisk"),
    Flag("no-new-keyring", False, "keep the caller's session keyring"),
    Flag("preserve-fds", 0, "pass on this many descriptors, from 3 (after those of LISTEN_FDS)"),
    DEVICE,
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Creates a container and leaves it created."""
    from ..run.descriptors import sweep_descriptors

    inherited = sweep_descriptors()
    arguments("create", rest, 1, 1)
    bundle, request = prepare(context, values, rest[0], inherited)
    from ..run.create import create

    console = connect_console(str(values["console-socket"]), terminal=has_terminal(bundle), detached=True)
    announce = announcer(str(values["pidfd-socket"]), b"standard")
    request.console = console >= 0
    _, warnings = create(bundle, request, console=console, observer=observer(context), announce=announce)
    for warning in warnings:
        context.log().warning(warning)
    return 0


def prepare(context: "Context", values: "Values", container_id: str, inherited: list[int]) -> "tuple[Bundle, Request]":
    """Reads the bundle and puts together what the command line asks for. Changes into the bundle."""
    from ..run.create import Bundle, enter_bundle
    from ..state import check_id

    if context.values["systemd-cgroup"]:
        raise PyruntimeError("--systemd-cgroup is not supported by this version of pyruntime")
    check_id(container_id)
    # before the change of directory: they are relative to the caller's
    root = context.root()
    pid_file = absolute(str(values["pid-file"])) if values["pid-file"] else ""
    path = enter_bundle(str(values["bundle"]))
    preserve, listen = int(values["preserve-fds"]), listen_fds()  # type: ignore[arg-type]
    check_preserved(inherited, listen + preserve)
    bundle = Bundle(path)
    request = Request(
        container_id=container_id,
        bundle=path,
        state_root=root,
        pid_file=pid_file,
        pivot=not values["no-pivot"],
        keyring=not values["no-new-keyring"],
        preserve_fds=preserve,
        listen_fds=listen,
        notify=bool(posix.environ.get(b"NOTIFY_SOCKET")),
    )
    give_devices(context, values, bundle, request)
    return bundle, request


def give_devices(context: "Context", values: "Values", bundle: "Bundle", request: "Request") -> None:
    """Gives the container the devices that its config and the command line ask for. Raises PyruntimeError."""
    devices: list[str] = values["device"]  # type: ignore[assignment]
    if devices or may_need_devices(context, bundle):
        from .devices import add_devices

        add_devices(context, bundle, request, devices)


def may_need_devices(context: "Context", bundle: "Bundle") -> bool:
    """Whether it is worth a closer look, which only those pay for who may ask for a device."""
    if context.values["gpu"] or context.values["config"] or exists(SETTINGS):
        return True
    config = bundle.config
    if any(key.startswith("cdi.k8s.io/") for key in config.get("annotations", ())):
        return True
    kinds: Any = config.get("hooks", {})
    return any("nvidia" in hook["path"] for kind in kinds.values() for hook in kind)


def check_preserved(inherited: list[int], count: int) -> None:
    """Raises PyruntimeError unless the caller has left so many descriptors open, from 3."""
    for fd in range(3, 3 + count):
        if fd not in inherited:
            raise PyruntimeError(f"unable to stat preserved-fd {fd - 3} (of {count}): no such file or directory")


def listen_fds() -> int:
    """Returns how many descriptors socket activation passed to this process (sd_listen_fds(3))."""
    count, pid = posix.environ.get(b"LISTEN_FDS", b""), posix.environ.get(b"LISTEN_PID", b"")
    if pid != str(posix.getpid()).encode() or not count.isdigit():
        return 0
    return int(count)


def has_terminal(bundle: "Bundle") -> bool:
    """Whether the config asks for a terminal."""
    return bool(bundle.config.get("process", {}).get("terminal"))


def observer(context: "Context") -> "Observer | None":
    """Returns what --debug does with every op: it logs it."""
    if not context.values["debug"]:
        return None
    from ..plan.text import describe

    def log(op: "Op") -> None:
        origin = f" [{op.origin}]" if op.origin else ""
        context.log().debug(f"{op.lane}: {describe(op)}{origin}")

    return log
