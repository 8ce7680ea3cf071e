"""What the compiler is told about the host. Values only: run/probe.py finds them out, tests make them up."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .finish import Finish


class Hierarchy:
    """One mounted cgroup hierarchy."""

    __slots__ = ("controllers", "mountpoint", "own", "version")

    def __init__(self, version: int, mountpoint: str, controllers: tuple[str, ...], own: str) -> None:
        self.version = version
        self.mountpoint = mountpoint
        # v1: what is mounted there, a named hierarchy as "name=systemd"; v2: the controllers that it has
        self.controllers = controllers
        # the runtime's own cgroup, relative to the mount point, with a leading slash
        self.own = own


class Facts:
    """The host as far as plans depend on it."""

    __slots__ = (
        "apparmor",
        "bounding",
        "cgroups",
        "delegate",
        "filter",
        "own_namespaces",
        "privileged",
        "proc_mounts",
        "resctrl",
        "selinux",
        "unified",
        "user_namespace",
    )

    def __init__(
        self,
        *,
        privileged: bool = True,
        user_namespace: bool = False,
        bounding: int = (1 << 41) - 1,
        cgroups: "tuple[Hierarchy, ...]" = (),
        unified: bool = True,
        own_namespaces: "frozenset[str]" = frozenset(),
        proc_mounts: tuple[str, ...] = (),
        apparmor: bool = False,
        selinux: bool = False,
        resctrl: str = "",
        delegate: tuple[str, ...] = (),
        filter: bytes = b"",  # noqa: A002 (what the kernel calls it)
    ) -> None:
        # may mount and join namespaces where it is: root, or root in a user namespace that owns its mount namespace
        self.privileged = privileged
        # runs in a user namespace other than the first: devices can neither be made nor controlled
        self.user_namespace = user_namespace
        # the capabilities that can still be had, as a mask
        self.bounding = bounding
        self.cgroups = cgroups
        # cgroup v2 alone, at /sys/fs/cgroup
        self.unified = unified
        # types of those namespaces given by path that are the runtime's own
        self.own_namespaces = own_namespaces
        # mount points of proc and sysfs on the host; only known when --no-pivot needs them
        self.proc_mounts = proc_mounts
        # security modules that are in force
        self.apparmor = apparmor
        self.selinux = selinux
        # where resctrl is mounted, "" if nowhere
        self.resctrl = resctrl
        # files of a cgroup that may be given to whom it is delegated (cgroups(7))
        self.delegate = delegate
        # the system call filter of the config, compiled; empty if it has none
        self.filter = filter


class Request:
    """What the command line asks for, besides the config."""

    __slots__ = (
        "bundle",
        "console",
        "container_id",
        "finish",
        "keyring",
        "listen_fds",
        "notify",
        "pid_file",
        "pivot",
        "preserve_fds",
        "state_root",
        "waits",
    )

    def __init__(
        self,
        *,
        container_id: str,
        bundle: str,
        state_root: str = "/run/pyruntime",
        pid_file: str = "",
        console: bool = False,
        pivot: bool = True,
        keyring: bool = True,
        preserve_fds: int = 0,
        listen_fds: int = 0,
        waits: bool = True,
        notify: bool = False,
        finish: "Finish | None" = None,
    ) -> None:
        self.container_id = container_id
        # absolute path
        self.bundle = bundle
        self.state_root = state_root
        # absolute path, or "" for none
        self.pid_file = pid_file
        # there is somebody to give the terminal to
        self.console = console
        self.pivot = pivot
        self.keyring = keyring
        self.preserve_fds = preserve_fds
        # those of socket activation (sd_listen_fds(3)), which come before the preserved ones
        self.listen_fds = listen_fds
        # for its `start`, before it runs its program
        self.waits = waits
        # the caller is to be told when the program is ready (sd_notify(3))
        self.notify = notify
        # what devices need besides what the config says
        self.finish = finish
