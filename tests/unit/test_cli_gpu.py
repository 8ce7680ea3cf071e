"""`gpu` shows what there is, and what a request would inject, and changes nothing."""

import json

import pytest

from pyruntime.cli.main import main
from tests.fakes.driver import MACHINE, REAL_NODES, TWO_GPUS, VERSION, FakeHost

real_nodes = pytest.mark.skipif(not REAL_NODES, reason="only root can make device nodes")


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path / "host").make()


@pytest.fixture
def gpu(host, capfd):
    def run(*argv, host=host, before=()):
        status = main([*before, "gpu", "--host-root", str(host.root), *argv])
        out, err = capfd.readouterr()
        assert (status == 0) == (err == "")
        return out if status == 0 else err

    return run


def test_the_table(gpu, host):
    text = gpu()
    assert f"kernel module  {VERSION}" in text
    assert f"libraries      {VERSION}, below {host.root}/" in text
    for each in TWO_GPUS:
        (line,) = [line for line in text.splitlines() if each.uuid in line]
        assert each.bus in line
        assert f"/dev/nvidia{each.minor}" in line
    assert f"{host.root}/usr/bin/nvidia-smi" in text


def test_json(gpu, host):
    found = json.loads(gpu("--json"))
    assert found["driver"]["cuda"] == "13.0"
    assert found["driver"]["problem"] == ""
    assert [each["uuid"] for each in found["gpus"]] == [each.uuid for each in TWO_GPUS]
    assert found["driver"]["directories"][0]["path"] == f"{host.root}/usr/lib/{MACHINE}-linux-gnu"


def test_a_host_without_a_driver(gpu, tmp_path):
    empty = FakeHost(tmp_path / "empty")
    empty.root.mkdir()
    text = gpu(host=empty)
    assert "kernel module  not loaded" in text
    assert "modprobe nvidia" in text
    assert "no NVIDIA driver is loaded" in gpu("--explain", "NVIDIA_VISIBLE_DEVICES=all", host=empty)


def test_a_mismatch_is_shown(gpu, tmp_path):
    text = gpu(host=FakeHost(tmp_path / "mixed", module="570.86.10").make())
    assert f"the kernel has NVIDIA driver 570.86.10 but the installed libraries are {VERSION}" in text


def test_what_is_missing_and_why(gpu, host):
    (host.root / "dev/nvidia-uvm").unlink()
    text = gpu()
    assert "/dev/nvidia-uvm " in text[text.index("missing\n") :]
    assert "does not exist" in text


@real_nodes
def test_what_variables_would_inject(gpu):
    text = gpu("--explain", "NVIDIA_VISIBLE_DEVICES=0", "--explain", "NVIDIA_DRIVER_CAPABILITIES=utility")
    lines = [line.split() for line in text.splitlines()]
    assert ["device", "/dev/nvidia1", "c", "195:1", "rw"] in lines
    assert "/dev/nvidia0" not in text
    assert "libnvidia-ml.so.1" in text
    assert "libcuda" not in text
    assert "not injected before an administrator enables it" in text


@real_nodes
def test_what_a_bundle_would_inject(gpu, tmp_path, monkeypatch):
    bundle = tmp_path / "bundle"
    (bundle / "rootfs/usr/lib64").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    config = {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["x"], "cwd": "/", "env": ["NVIDIA_VISIBLE_DEVICES=1"]},
    }
    (bundle / "config.json").write_text(json.dumps(config))
    (tmp_path / "config.toml").write_text("[nvidia]\nenable = true\n")
    found = json.loads(gpu("--json", "--explain", str(bundle), before=("--config", str(tmp_path / "config.toml"))))
    assert found["request"]["source"] == "NVIDIA_VISIBLE_DEVICES=1"
    assert found["notes"] == []
    assert {"/usr/lib64/libcuda.so.1"} <= {mount["containerPath"] for mount in found["containerEdits"]["mounts"]}
    assert {"path": "/usr/lib64/libcuda.so", "target": "libcuda.so.1"} in found["links"]


def test_nothing_requested(gpu):
    assert gpu("--explain", "NVIDIA_VISIBLE_DEVICES=void").startswith("request       nothing is requested")


def test_the_roots_of_the_settings(tmp_path, host, capsys):
    other = FakeHost(tmp_path / "other", version="570.1").make()
    (tmp_path / "c.toml").write_text(f'[nvidia]\nhost_root = "{host.root}"\ndriver_root = "{other.root}"\n')
    assert main(["--config", str(tmp_path / "c.toml"), "gpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["driver"]
    assert (found["module"], found["libraries"], found["root"]) == (VERSION, "570.1", f"{other.root}/")


@real_nodes
def test_a_request_for_a_gpu_that_there_is_not(gpu):
    assert r"no GPU \"7\": this machine has 0" in gpu("--explain", "NVIDIA_VISIBLE_DEVICES=7")
