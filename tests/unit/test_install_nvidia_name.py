"""The name that dockerd looks for is installed beside the launcher, and never in place of NVIDIA's own."""

import subprocess

import pytest

from install.nvidia_name import NAME, PROGRAM, install_name
from pyruntime.edits.nvidia.hooks import is_legacy


@pytest.fixture
def sbin(tmp_path):
    path = tmp_path / "usr/sbin"
    path.mkdir(parents=True)
    return path


def add_program(folder, name):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\necho done\n")
    (folder / name).chmod(0o755)


def test_without_the_hook_it_fails_in_one_line(sbin):
    path = install_name(sbin, "/nowhere")
    done = subprocess.run([path, "prestart"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{NAME}: only pyruntime does what this hook is for: make it the container's runtime\n"


@pytest.mark.parametrize("place", ["sbin", "libexec"])
def test_it_is_the_hook_where_there_is_one(sbin, place):
    """An installation that gets the hook later makes a link of what was there before."""
    install_name(sbin, None)
    add_program(sbin.parent / place, PROGRAM)
    path = install_name(sbin, None)
    assert path.is_symlink()
    assert not path.readlink().is_absolute()
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "done\n"
    assert install_name(sbin, str(sbin)) == path


def test_nvidias_own_stays(sbin, tmp_path):
    add_program(sbin, NAME)
    with pytest.raises(SystemExit, match=f"{sbin / NAME} is there already, and dockerd finds that"):
        install_name(sbin, None)
    assert (sbin / NAME).read_text() == "#!/bin/sh\necho done\n"


def test_nvidias_own_elsewhere_on_the_path(sbin, tmp_path):
    add_program(tmp_path / "bin", NAME)
    with pytest.raises(SystemExit, match=f"{tmp_path}/bin/{NAME} is there already"):
        install_name(sbin, f"{sbin}:{tmp_path}/bin")
    assert not (sbin / NAME).exists()
    assert install_name(sbin, None).exists()


def test_what_is_no_program_stays_too(sbin):
    (sbin / NAME).symlink_to("/nowhere")
    with pytest.raises(SystemExit, match="is no program"):
        install_name(sbin, None)
    assert (sbin / NAME).is_symlink()


def test_pyruntime_knows_the_name(sbin):
    assert is_legacy({"path": str(install_name(sbin, None)), "args": [NAME, "prestart"]})
