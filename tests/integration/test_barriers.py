"""The two lanes keep step: what the host does behind a barrier happens when init has come that far."""

import json


def test_hooks_on_the_host_find_all_mounts_made(bundle):
    """config.md: createRuntime hooks are called when the runtime environment has been created."""
    count = 300
    for number in range(count):
        bundle.mounts.append({"destination": f"/m/{number}", "type": "tmpfs", "source": "tmpfs"})
    script = 'pid=$(sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); grep -c " - tmpfs tmpfs " /proc/$pid/mountinfo > "$0"'
    seen = bundle.path / "seen"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script, str(seen)], "env": ["PATH=/usr/bin:/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    bundle.run("true")
    assert json.loads(seen.read_text()) >= count
