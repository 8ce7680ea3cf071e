"""What users install is complete and isolated: `make install` and `pip install`."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def install(prefix):
    site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    command = [sys.executable, ROOT / "install/install.py", "--prefix", prefix, "--site", site]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed") / "usr")


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory):
    """The script that pip puts into a virtual environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    subprocess.run([*pip[:3], f"--python={python}", "install", "-q", "--no-deps", wheel], check=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    own = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    for pattern in ("prctl.py", "_prctl*.so"):
        for file in own.glob(pattern):
            (site / file.name).symlink_to(file)
    return folder / "venv/bin/pyruntime"


def test_launcher_names_an_isolated_interpreter(installed):
    """-I and -S are what keeps the environment and .pth files out of a process that runs as root."""
    interpreter, flags = installed.read_text().splitlines()[0].removeprefix("#!").split(" ")
    assert Path(interpreter).is_absolute()
    assert not Path(interpreter).is_symlink()
    assert flags == "-IS"


def test_installed_files_are_not_for_others_to_change(installed):
    package = installed.parent.parent / "lib/pyruntime"
    assert (package / "pyruntime/_init").exists()
    for path in (installed, *package.rglob("*")):
        status = path.lstat()
        assert status.st_uid == os.geteuid(), path
        assert not status.st_mode & 0o022, path


@pytest.mark.parametrize("which", ["installed", "from_wheel"])
def test_container_from_an_installation(which, request, bundle, tmp_path):
    """Nothing that lies around is picked up: not the environment, not the working directory."""
    for name in ("posix", "json", "prctl", "pyruntime", "sitecustomize", "_json"):
        (bundle.path / f"{name}.py").write_text(f"raise SystemExit('{name} of the bundle was imported')")
    bundle.runtime.path = str(request.getfixturevalue(which))
    environment = {"PYTHONPATH": str(bundle.path), "PYTHONHOME": "/nonexistent", "PYTHONSTARTUP": str(bundle.path)}
    bundle.shell("echo it runs").write()
    name = bundle.runtime.new_id()
    result = bundle.runtime("run", name, cwd=bundle.path, env=environment)
    assert result.out == "it runs\n"
    assert result.err == ""


@pytest.mark.parametrize("how", ["missing", "empty", "another interpreter's", "half written"])
def test_launcher_works_without_a_good_image(tmp_path, how):
    """So it is while pyruntime is being installed, and when the interpreter has been exchanged."""
    launcher = install(tmp_path / "usr")
    (image,) = launcher.parent.parent.glob("lib/pyruntime/pyruntime/_images/*/main")
    data = image.read_bytes()
    match how:
        case "missing":
            image.unlink()
        case "empty":
            image.write_bytes(b"")
        case "another interpreter's":
            image.write_bytes(data[:8] + b"\1\2\3\4" + data[12:])
        case "half written":
            image.write_bytes(data[: len(data) // 2])
    done = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pyruntime version ")


@pytest.mark.parametrize("which", ["installed", "from_wheel"])
def test_images_hold_what_the_commands_need(which, request):
    """Without them the commands work, but take a third longer."""
    launcher = request.getfixturevalue(which)
    folders = [path for path in launcher.parent.parent.rglob("_images") if path.is_dir()]
    assert len(folders) == 1
    images = {path.name for path in folders[0].glob(f"{sys.implementation.cache_tag}/*")}
    assert images >= {"main", "create", "start", "state", "kill", "delete", "run", "list", "plan", "spec"}
