"""The import budget of the commands that make containers, against tests/budget/imports/ (`make budget` records it)."""

import json
import os

import pytest
from jsonschema import Draft202012Validator

from pyruntime.config.explain import schema
from tests.budget.record import as_root, imported, lists

# these are in tests/unit/test_structure_imports.py
WITHOUT_CONTAINER = {"cdi", "configure", "features", "gpu", "plan", "spec"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return as_root(tmp_path_factory.mktemp("imports"))


@pytest.mark.parametrize("command", sorted(lists().keys() - WITHOUT_CONTAINER))
def test_imports(found, command):
    """What slips in here costs time at every start of every container."""
    assert found[command] == lists()[command]


def test_all_commands_are_compared(found):
    assert found.keys() == lists().keys() - WITHOUT_CONTAINER


@pytest.mark.parametrize("detail", ["hooks", "resources", "user namespace"])
def test_only_a_config_that_asks_for_it_brings_more(bundle, runtime, tmp_path, detail):
    """Modules for what few bundles have stay out of the way of those that do not have it."""
    bundle.process["args"] = ["true"]
    match detail:
        case "hooks":
            bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
            more = {"pyruntime.plan.hooks", "pyruntime.run.hooks"}
        case "resources":
            bundle.linux["resources"]["pids"] = {"limit": 50}
            more = {"pyruntime.plan.resources"}
        case "user namespace":
            bundle.namespace("user")
            maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
            bundle.linux.update(uidMappings=maps, gidMappings=maps)
            more = {"pyruntime.plan.idmap", "pyruntime.run.idmap"}
    bundle.write()
    name = runtime.new_id()
    new = set(imported(tmp_path, "--root", str(runtime.root), "create", "-b", str(bundle.path), name))
    assert {module for module in new - set(lists()["create"]) if module.startswith("pyruntime")} == more


@pytest.mark.parametrize("status", ["created", "running", "stopped"])
def test_state_is_what_its_schema_says(bundle, runtime, status):
    """specs/state.schema.json describes what clients get; `pid` is needed as long as there is one (runtime.md)."""
    bundle.config["annotations"] = {"com.example.key": "value"}
    bundle.process["args"] = ["sleep", "1000"]
    name, _ = bundle.create()
    if status != "created":
        runtime("start", name)
    if status == "stopped":
        runtime("kill", name, "KILL")
    runtime.wait_status(name, status)
    state = json.loads(runtime("state", name).out)
    Draft202012Validator(schema("state.schema.json")).validate(state)
    assert state["status"] == status
    assert state["annotations"] == {"com.example.key": "value"}
    assert (state["pid"] == 0) == (status == "stopped")
    assert state.keys() == schema("state.schema.json")["properties"].keys()
    for entry in json.loads(runtime("list", "--format", "json").out):
        Draft202012Validator(schema("state.schema.json")).validate(entry)
        assert entry["owner"] == "root"
