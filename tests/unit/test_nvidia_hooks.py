"""hooks.py and spec.py: what goes into CDI files, and NVIDIA's hooks taken out of configs."""

import json

import pytest

from pyruntime.cli.main import main
from pyruntime.edits import cdi
from pyruntime.edits.edits import apply
from pyruntime.edits.nvidia import driver, hooks, spec
from pyruntime.edits.nvidia.root import Root
from tests.fakes.driver import MACHINE, PARAMS, REAL_NODES, TWO_GPUS, VERSION, FakeGpu, FakeHost

real_nodes = pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")
LIB = f"/usr/lib/{MACHINE}-linux-gnu"
PROGRAM = "/usr/bin/nvidia-cdi-hook"
OFF = PARAMS.replace("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0")


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path / "host").make()


def config(*entries, mounts=()):
    return {"hooks": {"createContainer": list(entries)}, "mounts": list(mounts)}


def hook(*args, path=PROGRAM):
    return {"path": path, "args": ["nvidia-cdi-hook", *args]}


def take(host, *entries, mounts=()):
    found = config(*entries, mounts=mounts)
    edits, legacy = hooks.take(found, Root(str(host.root)))
    return edits, legacy, found["hooks"]["createContainer"]


def test_links(host):
    edits, _, left = take(host, hook("create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so", "--link=a::/b"))
    assert [(link.path, link.target) for link in edits.links] == [("/usr/lib/libcuda.so", "libcuda.so.1"), ("/b", "a")]
    assert left == []


def test_the_cache(host):
    """ldconfig would have found the libraries that the config mounts, and made links for their SONAMEs."""
    name = f"libcuda.so.{VERSION}"
    mounts = [
        {"destination": f"{LIB}/{name}", "source": f"{host.root}{LIB}/{name}"},
        {"destination": f"{LIB}/libnot.so.1", "source": f"{host.root}/proc/devices"},
        {"destination": f"/elsewhere/{name}", "source": f"{host.root}{LIB}/{name}"},
    ]
    compat = hook("enable-cuda-compat", f"--host-driver-version={VERSION}")
    edits, _, left = take(host, hook("update-ldcache", "--folder", f"{LIB},/usr/lib64"), compat, mounts=mounts)
    assert edits.cache.directories == [LIB, "/usr/lib64"]
    assert edits.cache.libraries == [("libcuda.so.1", f"{LIB}/libcuda.so.1", 64)]
    assert edits.cache.compat == VERSION
    assert [(link.path, link.target) for link in edits.links] == [(f"{LIB}/libcuda.so.1", name)]
    assert left == []


def test_parameters_of_the_module(host):
    (file,) = take(host, hook("disable-device-node-modification"))[0].files
    assert (file.path, file.content) == ("/proc/driver/nvidia/params", OFF)


def test_the_older_name(host):
    entry = {"path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook", "create-symlinks", "--link", "a::/b"]}
    assert take(host, entry)[0].links[0].path == "/b"
    assert take(host, {"path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "cdi", "list"]})[2]


@pytest.mark.parametrize(
    "entry",
    [
        hook("create-symlinks", "--link", "ab"),
        hook("create-symlinks", "--link", "a::b"),
        hook("create-symlinks", "--link"),
        hook("create-symlinks", "--unknown=1"),
        hook("create-symlinks", "a::/b"),
        hook("chmod", "--mode", "755"),
        hook("something-new"),
        hook(),
        {"path": "/usr/bin/other", "args": ["nvidia-cdi-hook", "create-symlinks", "--link", "a::/b"]},
    ],
)
def test_hooks_that_stay(host, entry):
    """What is not known in full is done by the one that knows it."""
    edits, legacy, left = take(host, entry)
    assert left == [entry]
    assert (edits.links, legacy) == ([], False)


def test_the_hook_that_reads_the_environment(host):
    entry = {"path": "/usr/bin/nvidia-container-runtime-hook", "args": ["nvidia-container-runtime-hook", "prestart"]}
    found = {"hooks": {"prestart": [entry, {"path": "/bin/x"}]}}
    edits, legacy = hooks.take(found, Root(str(host.root)))
    assert legacy
    assert found["hooks"]["prestart"] == [{"path": "/bin/x"}]
    assert edits.cache is None


def test_a_config_without_hooks(host):
    found = {}
    hooks.take(found, Root(str(host.root)))
    assert found == {}


# ---- CDI files


def generate(host, **options):
    return spec.generate(driver.discover(str(host.root)), **options)


@real_nodes
def test_a_generated_file_is_one(host):
    document, notes = generate(host, hook=PROGRAM)
    found = cdi.parse_spec(json.loads(json.dumps(document)))
    assert notes == []
    assert found.kind == "nvidia.com/gpu"
    assert found.version == "0.5.0"  # podman 4.3 knows no later one
    assert list(found.devices) == ["0", TWO_GPUS[0].uuid, "1", TWO_GPUS[1].uuid, "all"]
    assert found.common.env == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert [hook.args[1] for hook in found.common.hooks] == [
        "create-symlinks", "enable-cuda-compat", "update-ldcache", "disable-device-node-modification",
    ]  # fmt: skip


@real_nodes
def test_no_number_that_a_boot_changes(host):
    document, _ = generate(host)
    for node in document["containerEdits"]["deviceNodes"]:
        assert node.keys() == {"path", "hostPath", "permissions"}


@real_nodes
def test_without_hooks_links_are_mounts(host):
    document, notes = generate(host)
    assert "hooks" not in document["containerEdits"]
    found = {mount["containerPath"] for mount in document["containerEdits"]["mounts"]}
    assert f"{LIB}/libcuda.so" in found
    assert notes[0].split()[2] == "/dev/dri/by-path/pci-0000:07:00.0-card"


@real_nodes
def test_what_is_generated_and_then_applied_is_what_is_selected(host, tmp_path):
    """One code path: the nodes of a container are the same by either way."""
    from pyruntime.edits.nvidia.request import Request
    from pyruntime.edits.nvidia.select import select

    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi/nvidia.yaml").write_text(json.dumps(generate(host, hook=PROGRAM)[0]))
    edits = cdi.load([str(tmp_path / "cdi")]).resolve(["nvidia.com/gpu=0"])
    cdi.complete(edits)
    document = {"process": {"args": [], "cwd": "/"}}
    apply(document, edits)
    native, legacy = hooks.take(document, Root(str(host.root)))
    chosen = select(Request("test", ("0",), spec.DEFAULT_CLASSES), driver.discover(str(host.root)))
    assert not legacy
    assert not any(document["hooks"].values())
    assert {(node["path"], node["major"], node["minor"]) for node in document["linux"]["devices"]} == {
        (device.path, device.major, device.minor) for device in chosen.devices
    }
    assert {mount["destination"] for mount in document["mounts"]} == {mount.destination for mount in chosen.mounts}
    assert {link.path for link in native.links} >= {link.path for link in chosen.links}
    assert set(native.cache.libraries) == set(chosen.cache.libraries)
    assert native.cache.compat == chosen.cache.compat
    assert native.files[0].content == chosen.files[0].content


@real_nodes
def test_mig_devices_in_a_file(tmp_path):
    host = FakeHost(tmp_path, gpus=[FakeGpu(0, "0000:07:00.0", "GPU-1", migs=[(1, 0), (2, 0)])]).make()
    document, notes = generate(host)
    nodes = {entry["name"]: entry["containerEdits"]["deviceNodes"] for entry in document["devices"]}
    assert list(nodes) == ["0", "GPU-1", "0:0", "0:1", "all"]
    assert [node["path"] for node in nodes["0:1"]] == [
        "/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap5", "/dev/nvidia-caps/nvidia-cap6",
    ]  # fmt: skip
    assert len(nodes["all"]) == 5
    assert notes[0].startswith("GPU 0 is divided into MIG devices")


# ---- the command


@real_nodes
def test_generate_and_list(host, tmp_path, capfd):
    target = tmp_path / "specs"
    target.mkdir()
    argv = ["cdi", "generate", "--host-root", str(host.root), "--hook", PROGRAM]
    assert main([*argv, "--output", str(target / "nvidia.yaml"), "--names", "index"]) == 0
    assert (target / "nvidia.yaml").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.iterdir()] == ["nvidia.yaml"]
    (target / "bad.json").write_text("{}")
    assert main(["cdi", "list", "--spec-dir", str(target)]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [
        "nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all",
    ]  # fmt: skip
    assert "bad.json: the file.cdiVersion is missing" in err
    assert main([*argv, "--kind", "other.org/gpu"]) == 0
    assert json.loads(capfd.readouterr().out)["kind"] == "other.org/gpu"


@real_nodes
def test_the_hook_that_is_installed(host, capfd):
    argv = ["cdi", "generate", "--host-root", str(host.root)]
    main(argv)
    assert "hooks" not in json.loads(capfd.readouterr().out)["containerEdits"]
    host.write("usr/bin/nvidia-cdi-hook", "")
    main(argv)
    assert json.loads(capfd.readouterr().out)["containerEdits"]["hooks"][0]["path"] == PROGRAM
    main([*argv, "--hook", "none"])
    assert "hooks" not in json.loads(capfd.readouterr().out)["containerEdits"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["generate", "--names", "index,name"], r"--names: \"name\" is not one of index, uuid"),
        (["generate", "--capabilities", "x"], r"--capabilities: \"x\" is not one of compute"),
        (["generate", "--hook", "x"], "--hook takes an absolute path"),
        (["generate", "--kind", "gpu"], "is not vendor/class"),
        (["show"], r"\"cdi\" takes generate or list"),
        ([], "requires exactly 1 argument"),
    ],
)
def test_wrong_command_lines(host, capfd, argv, message):
    roots = ["--host-root", str(host.root)] if argv[:1] == ["generate"] else []
    assert main(["cdi", *argv, *roots]) == 1
    assert message in capfd.readouterr().err
