"""What a tree of files is made of, to be compared with what it is later."""


def snapshot(path):
    """Returns what a tree is made of: names, kinds, owners, sizes and times."""
    found = []
    for entry in (path, *sorted(path.rglob("*"))):
        status = entry.lstat()
        owner = status.st_uid, status.st_gid
        found.append((str(entry), oct(status.st_mode), *owner, status.st_size, status.st_mtime_ns))
    return found
