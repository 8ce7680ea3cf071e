"""What rules about devices have to come to, under cgroup v1 and v2 alike: rules, then (device, how, allowed) ...

The devices: fuse c 10:229, kmsg c 1:11, mem c 1:1, a loop device b 7:200 that is only ever made, null c 1:3.
"""

DENY_ALL = {"allow": False, "access": "rwm"}
FUSE = {"type": "c", "major": 10, "minor": 229}
NODES = {"fuse": ("c", 10, 229), "kmsg": ("c", 1, 11), "null": ("c", 1, 3), "loop": ("b", 7, 200)}

CASES = {
    "nothing said": ([], [("fuse", "r", False), ("null", "rw", True), ("kmsg", "r", False), ("loop", "m", True)]),
    "all denied": ([DENY_ALL], [("fuse", "r", False), ("null", "w", True), ("loop", "m", True)]),
    "all allowed": ([{"allow": True, "access": "rwm"}], [("fuse", "rw", True), ("kmsg", "r", True)]),
    "one allowed": (
        [DENY_ALL, FUSE | {"allow": True, "access": "rw"}],
        [("fuse", "rw", True), ("fuse", "r", True), ("kmsg", "r", False)],
    ),
    "reading alone": (
        [DENY_ALL, FUSE | {"allow": True, "access": "r"}],
        [("fuse", "r", True), ("fuse", "w", False), ("fuse", "rw", False)],
    ),
    "reading and writing by two rules": (
        [DENY_ALL, FUSE | {"allow": True, "access": "r"}, FUSE | {"allow": True, "access": "w"}],
        [("fuse", "rw", True)],
    ),
    "any minor": (
        [DENY_ALL, {"allow": True, "type": "c", "major": 10, "access": "rw"}],
        [("fuse", "rw", True), ("kmsg", "r", False)],
    ),
    "any major": (
        [DENY_ALL, {"allow": True, "type": "c", "minor": 229, "access": "rw"}],
        [("fuse", "rw", True), ("kmsg", "r", False)],
    ),
    "another type": ([DENY_ALL, {"allow": True, "type": "b", "access": "rwm"}], [("fuse", "r", False)]),
    "the last one decides: denied": (
        [{"allow": True, "access": "rwm"}, FUSE | {"allow": False, "access": "rwm"}],
        [("fuse", "r", False), ("fuse", "w", False), ("kmsg", "r", True)],
    ),
    "the last one decides: allowed": (
        [FUSE | {"allow": False, "access": "rwm"}, {"allow": True, "access": "rwm"}],
        [("fuse", "rw", True)],
    ),
    "the last one decides: all denied": (
        [FUSE | {"allow": True, "access": "rwm"}, DENY_ALL],
        [("fuse", "r", False)],
    ),
    "writing denied": (
        [{"allow": True, "access": "rwm"}, FUSE | {"allow": False, "access": "w"}],
        [("fuse", "r", True), ("fuse", "w", False), ("fuse", "rw", False)],
    ),
    "all types keep their access": (
        [DENY_ALL, {"allow": True, "type": "a", "access": "r"}],
        [("fuse", "r", True), ("fuse", "w", False), ("fuse", "rw", False)],
    ),
    "default devices cannot be denied": (
        [{"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
        [("null", "rw", True)],
    ),
}
REDIRECTIONS = {"r": "<", "w": ">", "rw": "<>"}


def check(bundle, rules, attempts):
    """Tries everything inside of one container, whose process may make device nodes."""
    bundle.linux.setdefault("resources", {})["devices"] = rules
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_MKNOD", "CAP_SYSLOG"]
    lines = []
    for number, (name, how, _) in enumerate(attempts):
        kind, major, minor = NODES[name]
        lines.append(f"mknod /{number} {kind} {major} {minor} || exit 1")
        # in a shell of its own: a failed redirection of a special built-in ends it
        attempt = "true" if how == "m" else f"(exec 3{REDIRECTIONS[how]} /{number}) 2>/error"
        lines.append(f"if {attempt}; then echo yes; else echo $(cat /error); fi")
    answers = bundle.run("\n".join(lines)).out.splitlines()
    assert len(answers) == len(attempts)
    for (name, how, allowed), answer in zip(attempts, answers, strict=True):
        if allowed:
            assert answer == "yes", (name, how)
        else:
            assert "Operation not permitted" in answer, (name, how)
