"""The two lanes keep step: what the host does behind a barrier happens when init has come that far."""

import json
import subprocess
import time


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


def test_created_means_that_init_is_ready(bundle, runtime, tmp_path):
    """runtime.md, State: while createContainer hooks run it is being created. There is no pid file yet either."""
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "1"]}]}
    bundle.write()
    name, pid_file = runtime.new_id(), tmp_path / "pid"
    command = runtime.command("create", "--bundle", bundle.path, "--pid-file", pid_file, name)
    create = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (runtime.root / name / "state.json").exists() or not runtime.state(name)["pid"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert create.poll() is None
        assert runtime.state(name)["status"] == "creating"
        assert not pid_file.exists()
    finally:
        assert create.wait(10) == 0
    assert runtime.state(name)["status"] == "created"
    assert pid_file.read_text() == str(runtime.state(name)["pid"])
