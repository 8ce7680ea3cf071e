"""Paths as text. Nothing here looks at a file system, but for what absolute() needs to know: where we are."""

from posix import getcwd, stat

# where the administrator's settings are (edits/settings.py)
SETTINGS = "/etc/pyruntime/config.toml"


def clean(path: str) -> str:
    """Returns an absolute path without ".", ".." and empty parts; ".." stops at the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def absolute(path: str) -> str:
    """Returns a path from the root, as seen from the current directory."""
    return clean(path if path[:1] == "/" else f"{getcwd()}/{path}")


def parent(path: str) -> str:
    """Returns the directory that an absolute path is in."""
    return path.rpartition("/")[0] or "/"


def exists(path: str) -> bool:
    """Whether there is anything at the path that can be reached."""
    try:
        stat(path)
    except OSError:
        return False
    return True
