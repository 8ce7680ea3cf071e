"""The bundle, config.json as a file, and root (bundle.md; glossary.md; config.md, Specification version, Root)."""

import json

import pytest
from containers import requirement


@requirement("bundle.config")
def test_no_config(bundle, runtime):
    name = runtime.new_name()
    assert runtime("create", "--bundle", bundle.path, name, check=False).code
    assert not runtime.exists(name)


@requirement("bundle.config")
def test_no_bundle(runtime, tmp_path):
    name = runtime.new_name()
    assert runtime("create", "--bundle", tmp_path / "missing", name, check=False).code
    assert not runtime.exists(name)


@requirement("bundle.config")
def test_a_config_of_another_name(bundle, runtime):
    bundle.write()
    (bundle.path / "config.json").rename(bundle.path / "Config.json")
    assert runtime("create", "--bundle", bundle.path, runtime.new_name(), check=False).code


def refused(bundle, data):
    """Checks that a config.json that holds just this is refused."""
    name = bundle.runtime.new_name()
    (bundle.path / "config.json").write_bytes(data)
    done = bundle.runtime("create", "--bundle", bundle.path, name, check=False)
    assert done.code, "it was accepted"
    assert done.code > 0, f"create ended by signal {-done.code}"
    assert not bundle.runtime.exists(name)


def config(bundle):
    bundle.process["args"] = ["true"]
    return json.dumps(bundle.config)


@requirement("config.values.invalid")
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '"config"', "{} {}", "{'ociVersion': '1.0.2'}", '{"ociVersion": }']
)
def test_what_is_no_config(bundle, text):
    refused(bundle, text.encode())


@requirement("config.values.invalid")
def test_text_behind_the_config(bundle):
    refused(bundle, (config(bundle) + "x").encode())


@requirement("glossary.json.utf8")
def test_a_config_that_is_not_utf_8(bundle):
    bundle.config["hostname"] = "HOST"
    refused(bundle, config(bundle).encode().replace(b"HOST", b"\xff\xfe"))


@requirement("glossary.json.utf8")
def test_a_config_in_utf_16(bundle):
    refused(bundle, config(bundle).encode("utf-16"))


@requirement("glossary.json.utf8")
def test_names_beyond_ascii(bundle):
    bundle.process["env"].append("WORD=grün-漢字-😀")
    bundle.process["args"] = ["probe", "environment"]
    assert "WORD=grün-漢字-😀" in bundle.out()


# ---- ociVersion


@requirement("config.version.required")
def test_no_version(bundle):
    del bundle.config["ociVersion"]
    bundle.is_refused()


@requirement("config.version")
@pytest.mark.parametrize("version", ["", "one", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", 1, ["1.0.2"], None])
def test_a_version_that_is_none(bundle, version):
    bundle.config["ociVersion"] = version
    bundle.is_refused()


@requirement("config.values.invalid")
@pytest.mark.parametrize("version", ["0.9.0", "2.0.0"])
def test_a_version_of_another_major_number(bundle, version):
    bundle.config["ociVersion"] = version
    bundle.is_refused()


@requirement("config.version.compatible")
@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-rc5", "1.0.1", "1.0.2-dev", "1.0.2", "1.0.2+x.y"])
def test_earlier_versions(bundle, version):
    bundle.config["ociVersion"] = version
    assert bundle.out("echo here") == "here"


@requirement("config.version.compatible")
@pytest.mark.parametrize("version", ["1.1.0", "1.2.0", "1.2.1", "1.3.0"])
def test_versions_with_this_major_number(bundle, version):
    bundle.config["ociVersion"] = version
    assert bundle.out("echo here") == "here"


# ---- root


@requirement("config.root.required")
def test_no_root(bundle):
    del bundle.config["root"]
    bundle.is_refused()


@requirement("config.root.path.required")
@pytest.mark.parametrize("root", [{}, {"path": ""}, {"readonly": True}])
def test_no_path(bundle, root):
    bundle.config["root"] = root
    bundle.is_refused()


@requirement("config.root.path")
def test_a_path_relative_to_the_bundle(bundle):
    bundle.file("mark", "here")
    assert bundle.out("cat /mark") == "here"


@requirement("config.root.path")
def test_a_path_below_the_bundle(bundle):
    bundle.file("mark", "here")
    (bundle.path / "deep").mkdir()
    bundle.rootfs.rename(bundle.path / "deep/root")
    bundle.config["root"]["path"] = "deep/./root/"
    assert bundle.out("cat /mark") == "here"


@requirement("config.root.path")
def test_an_absolute_path(bundle, tmp_path):
    bundle.file("mark", "here")
    bundle.rootfs.rename(tmp_path / "elsewhere")
    bundle.config["root"]["path"] = str(tmp_path / "elsewhere")
    assert bundle.out("cat /mark") == "here"


@requirement("config.root.path.exists")
def test_a_path_that_does_not_exist(bundle):
    bundle.config["root"]["path"] = "missing"
    bundle.is_refused()
    assert not (bundle.path / "missing").exists(), "the directory was made"


@requirement("config.root.path.exists")
def test_a_path_to_a_file(bundle):
    (bundle.path / "file").write_text("x")
    bundle.config["root"]["path"] = "file"
    bundle.is_refused()


@requirement("config.root.readonly")
def test_a_read_only_root(bundle):
    bundle.config["root"]["readonly"] = True
    done = bundle.run("echo x > /file; mkdir /directory; echo x > /etc/file; rm /bin/sh")
    assert done.code
    assert not (bundle.rootfs / "file").exists()
    assert not (bundle.rootfs / "directory").exists()
    assert not (bundle.rootfs / "etc/file").exists()
    assert (bundle.rootfs / "bin/sh").is_symlink()


@requirement("config.root.readonly")
def test_mounts_in_a_read_only_root_can_be_written_to(bundle):
    bundle.config["root"]["readonly"] = True
    bundle.mount("/tmp", "tmpfs", "tmpfs")
    assert bundle.out("echo x > /tmp/file; cat /tmp/file") == "x"


@requirement("config.root.readonly")
@pytest.mark.parametrize("readonly", [False, None])
def test_a_root_that_can_be_written_to(bundle, readonly):
    if readonly is not None:
        bundle.config["root"]["readonly"] = readonly
    bundle.out("echo x > /file")
    assert (bundle.rootfs / "file").read_text() == "x\n"
