"""What `configure` changes: the files in configure/NAME.old, none for some, and in NAME.diff what becomes of them."""

from importlib import import_module
from pathlib import Path

from pyruntime.clients.diff import unified
from pyruntime.clients.entry import Entry, taken_out

HERE = Path(__file__).resolve().parent / "configure"
NAME = "pyruntime"
PATH = "/usr/local/sbin/pyruntime"

# name -> client, and what the entry has, or None for one that is taken out
CASES = {
    "docker-none": ("docker", {}),
    "docker-none-default": ("docker", {"default": True}),
    "docker-runtimes": ("docker", {"default": True}),
    "docker-one-line": ("docker", {"default": True}),
    "docker-crlf": ("docker", {}),
    "docker-shim": ("docker", {}),
    "docker-remove": ("docker", None),
    "containerd-none-1": ("containerd", {"version": 2}),
    "containerd-none-2": ("containerd", {"version": 3, "default": True}),
    "containerd-drop-in": ("containerd", {"version": 3, "systemd_cgroup": True}),
    "containerd-version-1": ("containerd", {}),
    "containerd-version-2": ("containerd", {"default": True}),
    "containerd-version-3": ("containerd", {"default": True}),
    "containerd-with-runc": ("containerd", {"default": True}),
    "containerd-changed-path": ("containerd", {}),
    "containerd-remove": ("containerd", None),
    "podman-none": ("podman", {}),
    "podman-none-default": ("podman", {"default": True}),
    "podman-containers-conf": ("podman", {"default": True}),
    "podman-remove": ("podman", None),
    "crio-none": ("crio", {}),
    "crio-none-default": ("crio", {"default": True}),
    "crio-conf": ("crio", {"default": True}),
    "crio-remove": ("crio", None),
}


def client_of(name):
    """Returns the module of a client."""
    return import_module(f"pyruntime.clients.{name}")


def old_text(case):
    """Returns the file of a case; None if it begins without one."""
    path = HERE / f"{case}.old"
    return path.read_bytes().decode() if path.exists() else None


def shown(case):
    """Returns the difference that `configure` shows."""
    name, values = CASES[case]
    client, old = client_of(name), old_text(case)
    if values is None:
        new = taken_out(client, old, case, NAME, [None])
    else:
        new = client.add(old or "", case, Entry(NAME, PATH, **values))
    return unified(old, new, case)
