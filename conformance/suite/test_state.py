"""The state of a container (runtime.md, State, Query State)."""

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from containers import requirement

# what the specification's own schema demands; members beyond it are permitted
SCHEMA = {
    "type": "object",
    "properties": {
        "ociVersion": {"type": "string", "minLength": 1},
        "id": {"type": "string", "minLength": 1},
        "status": {"enum": ["creating", "created", "running", "stopped"]},
        "pid": {"type": "integer", "minimum": 0},
        "bundle": {"type": "string", "pattern": "^/"},
        "annotations": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "propertyNames": {"minLength": 1},
        },
    },
    "required": ["ociVersion", "id", "status", "bundle"],
}
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


@requirement(
    "runtime.state.oci-version", "runtime.state.id", "runtime.state.status", "runtime.state.pid",
    "runtime.state.bundle", "runtime.state.schema", "runtime.state.returns",
)  # fmt: skip
def test_members(bundle):
    container = bundle.create("sleep 1000")
    for status in ("created", "running", "stopped"):
        if status == "running":
            container.start()
        if status == "stopped":
            container.stop()
        state = container.state
        jsonschema.validate(state, SCHEMA)
        assert SEMVER.fullmatch(state["ociVersion"])
        assert state["id"] == container.name
        assert state["status"] == status
        assert state["bundle"] == str(bundle.path)
        if status != "stopped":
            assert state["pid"] == container.pid


@requirement("runtime.state.pid", "runtime.state.pid.seen")
def test_the_pid_is_the_one_of_the_host(bundle):
    container = bundle.create("sleep 1000")
    container.start()
    assert os.readlink(f"/proc/{container.state['pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")
    assert Path(f"/proc/{container.state['pid']}/cmdline").read_text() == "sh\0-c\0sleep 1000\0" or (
        "sleep" in Path(f"/proc/{container.state['pid']}/cmdline").read_text()
    )
    container.stop()


@requirement("runtime.state.bundle")
def test_a_bundle_that_was_given_by_a_relative_path(bundle, runtime):
    bundle.process["args"] = ["true"]
    name = runtime.new_name()
    bundle.write(name)
    runtime("create", "--bundle", bundle.path.name, name, cwd=bundle.path.parent)
    assert runtime.state(name)["bundle"] == str(bundle.path)


@requirement("runtime.state.annotations")
def test_annotations(bundle):
    bundle.config["annotations"] = {"com.example.key": "value", "com.example.empty": "", "plain": "ü"}
    container = bundle.create("true")
    state = container.state
    assert {key: state["annotations"].get(key) for key in bundle.config["annotations"]} == bundle.config["annotations"]


@requirement("runtime.state.annotations")
def test_no_annotations(bundle):
    """Absent, or empty."""
    assert not bundle.create("true").state.get("annotations")


@requirement("runtime.state.status.created")
def test_created(bundle):
    assert bundle.create("sleep 1000").status == "created"


@requirement("runtime.state.status.running")
def test_running(bundle):
    container = bundle.create("sleep 1000")
    container.start()
    assert container.status == "running"
    container.stop()


@requirement("runtime.state.status.stopped")
@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill -9 $$; sleep 1000"])
def test_stopped(bundle, end):
    """However the process came to its end."""
    bundle.namespace("pid", False)
    container = bundle.create(end)
    container.start()
    container.wait()
    assert container.status == "stopped"


@requirement("runtime.state.status.creating", "runtime.state.status.others")
def test_the_status_while_it_is_created(bundle, tmp_path):
    """As a createRuntime hook is told it."""
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/read\n")
    script.chmod(0o755)
    bundle.config["hooks"] = {"createRuntime": [{"path": str(script)}]}
    bundle.create("true")
    state = json.loads((tmp_path / "read").read_text())
    assert state["status"] in ("creating", "created")


@requirement("runtime.state.needs-id")
def test_state_without_an_id(runtime):
    assert runtime("state", check=False).code


@requirement("runtime.state.unknown")
def test_state_of_a_container_that_does_not_exist(runtime):
    done = runtime("state", "conformance-nobody", check=False)
    assert done.code
    assert not done.out.strip().startswith("{")


@requirement("runtime.state.unknown")
def test_state_of_a_deleted_container(bundle, runtime):
    container = bundle.create("true")
    container.start()
    container.wait()
    container.delete()
    assert runtime("state", container.name, check=False).code
