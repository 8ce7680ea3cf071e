"""`features` is what engines read at their start: true for this build, and in the form of the specification."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from valid_configs import BASE, PARTS, change

from pyruntime.cli.features import features, mount_options
from pyruntime.config.check import check
from pyruntime.config.explain import schema
from pyruntime.config.load import parse_config
from pyruntime.plan.mounts import Options
from pyruntime.run import libseccomp


@pytest.fixture(scope="module")
def structure():
    return features()


def accepted(path, value):
    config = parse_config(json.dumps(change(BASE, path, value)).encode())
    return check(config) == []


def test_form(structure):
    Draft202012Validator(schema("features.schema.json")).validate(structure)


def test_versions_are_accepted(structure):
    for name in ("ociVersionMin", "ociVersionMax"):
        assert accepted("ociVersion", structure[name])


def test_what_the_schema_of_configs_knows_is_all_there(structure):
    """features-linux.md: the runtime must recognize what is listed; and we list what we recognize."""
    linux = structure["linux"]
    assert set(structure["hooks"]) == set(PARTS["hooks"]["properties"])
    assert set(linux["namespaces"]) == set(PARTS["linux.namespaces.*.type"]["enum"])
    assert set(linux["memoryPolicy"]["modes"]) == set(PARTS["linux.memoryPolicy.mode"]["enum"])
    assert set(linux["memoryPolicy"]["flags"]) == set(PARTS["linux.memoryPolicy.flags.*"]["enum"])
    seccomp = linux["seccomp"]
    assert set(seccomp["actions"]) == set(PARTS["linux.seccomp.defaultAction"]["enum"])
    assert set(seccomp["operators"]) == set(PARTS["linux.seccomp.syscalls.*.args.*.op"]["enum"])
    assert set(libseccomp.ARCHITECTURES) == set(PARTS["linux.seccomp.architectures.*"]["enum"])
    assert set(seccomp["archs"]) <= set(libseccomp.ARCHITECTURES)
    assert set(seccomp["knownFlags"]) == set(PARTS["linux.seccomp.flags.*"]["enum"])
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    assert "SECCOMP_FILTER_FLAG_SPEC_ALLOW" in seccomp["supportedFlags"]


@pytest.mark.parametrize("option", mount_options())
def test_mount_options_are_no_parameters_of_a_file_system(option):
    assert Options([option]).data == []


def test_options_that_clients_look_for():
    """Engines offer recursive read-only binds and id-mapped mounts when these are there."""
    assert {"rro", "idmap", "ridmap"} <= set(mount_options())


@pytest.mark.parametrize("flag", [1 << 1, 1 << 2, 1 << 30])
def test_the_kernel_is_asked_about_flags(flag):
    assert libseccomp.kernel_takes(flag) == (flag != 1 << 30)


def test_without_the_library_there_are_no_filters(monkeypatch):
    monkeypatch.setattr(libseccomp, "LIBRARY", "libnosuch.so")
    monkeypatch.setattr(libseccomp, "_loaded", {})
    structure = features()
    assert structure["linux"]["seccomp"] == {"enabled": False}
    assert structure["annotations"].keys() == {"pyruntime.version"}


def test_nothing_but_json_is_printed():
    """cri-o reads standard output and standard error together, and calls with no environment."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from pyruntime.cli.main import main; main(['features'])"
    path = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, env={}
    )
    assert json.loads(done.stdout) == features()
