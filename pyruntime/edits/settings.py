"""The administrator's settings: /etc/pyruntime/config.toml, or the file that --config names.

    [nvidia]
    enable = false             # NVIDIA_VISIBLE_DEVICES is acted upon
    driver_root = ""           # where the driver's files are; "" looks in the usual places
    host_root = ""             # the directory below which /proc, /sys and /dev are; "" is this host's own
    capabilities = "all"       # what containers can ask for at most, as in NVIDIA_DRIVER_CAPABILITIES
    trust_env = true           # the variable counts in containers without CAP_SYS_ADMIN too
    volume_requests = false    # mounts below /var/run/nvidia-container-devices are requests
    require = true             # NVIDIA_REQUIRE_* are held

    [cdi]
    spec_dirs = ["/etc/cdi", "/var/run/cdi"]

A key that is not known is an error: a mistyped one would change what containers can reach, and nobody would know.
"""

import posix

from ..errors import PyruntimeError, os_error
from ..paths import SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
MOST_BYTES = 1 << 20


class Settings:
    """What the file says, and defaults for the rest."""

    __slots__ = (
        "capabilities", "driver_root", "enable", "host_root", "require", "spec_dirs", "trust_env", "volume_requests",
    )  # fmt: skip

    def __init__(self) -> None:
        self.enable = False
        self.driver_root = ""
        self.host_root = ""
        self.capabilities = "all"
        self.trust_env = True
        self.volume_requests = False
        self.require = True
        self.spec_dirs = list(SPEC_DIRECTORIES)


SECTIONS = {
    "nvidia": ("enable", "driver_root", "host_root", "capabilities", "trust_env", "volume_requests", "require"),
    "cdi": ("spec_dirs",),
}
KINDS = {bool: "true or false", str: "a text", list: "a list of absolute paths"}


def load(path: str = "") -> Settings:
    """Reads the file; without a path the default one, which may be missing. Raises PyruntimeError."""
    settings = Settings()
    try:
        fd = posix.open(path or SETTINGS, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    except FileNotFoundError as error:
        if path:
            raise PyruntimeError(f"open {os_error(error)}") from None
        return settings
    except OSError as error:
        raise PyruntimeError(f"open {os_error(error)}") from None
    try:
        data = posix.read(fd, MOST_BYTES + 1)
    except OSError as error:
        raise PyruntimeError(f"read {path or SETTINGS}: {os_error(error)}") from None
    finally:
        posix.close(fd)
    if len(data) > MOST_BYTES:
        raise PyruntimeError(f"{path or SETTINGS} is larger than {MOST_BYTES >> 20} MiB")
    _fill(settings, path or SETTINGS, data)
    return settings


def _fill(settings: Settings, path: str, data: bytes) -> None:
    document = _parse(path, data)
    for section, table in document.items():
        if section not in SECTIONS or not isinstance(table, dict):
            raise PyruntimeError(f"{path}: [{section}] is not known (there are {', '.join(SECTIONS)})")
        for key, value in table.items():
            if key not in SECTIONS[section]:
                known = ", ".join(SECTIONS[section])
                raise PyruntimeError(f"{path}: {section}.{key} is not known (there are {known})")
            kind = type(getattr(settings, key))
            if type(value) is not kind or not _fits(key, value):
                raise PyruntimeError(f"{path}: {section}.{key} is not {_wanted(key, kind)}")
            setattr(settings, key, value)


def _parse(path: str, data: bytes) -> "dict[str, Any]":
    from .plain_toml import parse

    try:
        text = data.decode()
        document = parse(text)
    except UnicodeDecodeError as error:
        raise PyruntimeError(f"{path}: {error}") from None
    if document is not None:
        return document
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PyruntimeError(f"{path}: {error}") from None


def _fits(key: str, value: "Any") -> bool:
    if isinstance(value, list):
        return all(isinstance(part, str) and part[:1] == "/" for part in value)
    return not key.endswith("_root") or value == "" or value[:1] == "/"


def _wanted(key: str, kind: type) -> str:
    return "an absolute path" if key.endswith("_root") else KINDS[kind]
