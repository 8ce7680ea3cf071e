"""Writes the id maps of a new user namespace (user_namespaces(7))."""

from ..errors import PyruntimeError
from ..plan.idmap import lines
from .files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import IdMapping

PAGE = 4096


def write_maps(pid: int, uids: "Sequence[IdMapping]", gids: "Sequence[IdMapping]", *, privileged: bool) -> None:
    """Maps the ids of the namespace that `pid`, our child, was cloned into.

    The gid map comes first: after it the process may not be allowed to drop groups any more. Raises OSError.
    """
    if not privileged:
        # else the kernel takes no gid map from an unprivileged user (CVE-2014-8989)
        write(f"/proc/{pid}/setgroups", "deny")
    write(f"/proc/{pid}/gid_map", _checked(lines(gids)))
    write(f"/proc/{pid}/uid_map", _checked(lines(uids)))


def _checked(text: str) -> str:
    if len(text) >= PAGE:
        raise PyruntimeError(f"the id map has {len(text)} bytes, and the kernel takes less than {PAGE} at once")
    return text
