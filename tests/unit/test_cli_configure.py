"""`configure` changes what it says and nothing else, can take it out again, and never leaves half a file."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.cli import configure, main
from pyruntime.clients import containerd, files, toml_text
from pyruntime.clients.diff import unified
from pyruntime.clients.entry import Entry, taken_out
from pyruntime.errors import ConfigError, PyruntimeError

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

import configure_cases  # noqa: E402 (found through the path above)
from configure_cases import NAME, PATH, client_of  # noqa: E402

CLIENTS = configure.CLIENTS
BACKUP = re.compile(r"\.bak-\d{8}T\d{6}Z(?:-\d{3})?")


@pytest.fixture
def call(capfd):
    """Runs `configure`; returns the exit status and what it has printed."""

    def run(*words, path="/bin/true"):
        given = [] if "--remove" in words else ["--runtime-path", path]
        status = main.main(["configure", *map(str, words), *given])
        return status, *capfd.readouterr()

    return run


def backups(folder):
    return sorted(path for path in folder.iterdir() if BACKUP.search(path.name))


# ---- golden files


@pytest.mark.parametrize("case", configure_cases.CASES)
def test_golden(case):
    recorded = (GOLDEN / f"configure/{case}.diff").read_bytes().decode()
    assert configure_cases.shown(case) == recorded, "if this is meant: make golden"


def test_every_golden_file_has_its_case():
    assert {path.stem for path in (GOLDEN / "configure").iterdir()} == set(configure_cases.CASES)


@pytest.mark.parametrize("case", configure_cases.CASES)
def test_diffs_are_what_patch_takes(case, tmp_path):
    if shutil.which("patch") is None:
        pytest.skip("patch is not installed")
    old, file = configure_cases.old_text(case), tmp_path / case
    if old is not None:
        file.write_bytes(old.encode())
    difference = configure_cases.shown(case)
    subprocess.run(["patch", "--binary", "-p0"], cwd=tmp_path, input=difference.encode(), check=True)
    name, values = configure_cases.CASES[case]
    new = file.read_bytes().decode()
    assert (client_of(name).find(new, case, NAME) is not None) == (values is not None)


# ---- the properties, over documents of all forms

WORDS = st.characters(codec="utf-8", exclude_characters="\0")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(WORDS, max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text('ab{}"\\\n', max_size=3), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
RUNTIMES = st.dictionaries(
    st.sampled_from(["nvidia", "crun", "py", "x.y"]),
    st.just({"path": "/x"}) | st.just({"runtimeType": "y"}),
    max_size=2,
)
JSON_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "debug": st.booleans(),
        "runtimes": RUNTIMES | st.none(),
        "default-runtime": st.sampled_from(["nvidia", "runc"]),
        "other": JSON_VALUES,
    },
)


@st.composite
def daemon_json(draw):
    """A daemon.json, indented in one way or another."""
    document = draw(JSON_DOCUMENTS)
    names = draw(st.permutations(list(document)))
    text = json.dumps(
        {name: document[name] for name in names},
        indent=draw(st.sampled_from([None, 1, 2, 4, "\t"])),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " : ")])),
        ensure_ascii=draw(st.booleans()),
    )
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return draw(st.sampled_from(["", "\n", " "])) + text + draw(st.sampled_from(["", "\n", "\n\n"]))


# lines that no client knows, to be found between those that it does
NOISE = [
    "# a comment with [brackets] and \"quotes\" and '''",
    "",
    "[other]\nx = 1",
    "[other2] # y\n'quoted key' = '[engine]'",
    '[other3]\ntext = """\n[engine.runtimes]\npyruntime = ["/no"]\n"""',
    "[other4]\ntext = '''\n[crio.runtime]\n# \"\"\"\n'''\nafter = true",
    '[other5]\nlist = [ # ]\n  "[", \'"\', # [\n  ["]"],\n]\ninline = {a = "}", b = [1]}',
    "[[array]]\na.b.c = 1\n[[array]]\n[array.table]\nx = 2",
    '  [ spaced . "out" ]  # z\n  k  =  "a\\"#b"   # w',
    '[other6]\ndate = 2024-01-01T00:00:00Z\nnumber = 1_000\ntext = """a""""',
]
KNOWN = {
    "containerd": [
        '[plugins."io.containerd.grpc.v1.cri".containerd]\n  default_runtime_name = "runc" # a\n  snapshotter = "x"',
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"",
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n  SystemdCgroup = true',
        '[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/x"',
        "[plugins.'io.containerd.cri.v1.runtime'.containerd]",
        "[plugins]",
    ],
    "podman": [
        '[engine]\n runtime = "crun"\n cgroup_manager = "cgroupfs"',
        '[engine.runtimes]\n  crun = ["/usr/bin/crun",\n    "/x", # [\n  ]',
        "[containers]\nlog_size_max = -1",
    ],
    "crio": [
        '[crio.runtime]\ndefault_runtime = "crun"\n\n# more\nconmon_cgroup = "pod"',
        '[crio.runtime.runtimes.crun]\nruntime_path = "/usr/bin/crun"',
        "[crio.runtime.runtimes]",
        "[crio]",
    ],
}


@st.composite
def toml_files(draw, client):
    """A file of a client: blocks of all forms in any order, with other ends of lines, or without the last."""
    chosen = draw(st.lists(st.sampled_from([*NOISE, *KNOWN[client]]), unique=True, max_size=8))
    if client == "containerd":
        chosen.insert(0, draw(st.sampled_from(["version = 2", "version = 3 # new", "version = 1", "root = '/r'"])))
    text = draw(st.sampled_from(["\n", "\n\n", "\n\n\n"])).join(chosen)
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return text + draw(st.sampled_from(["", "\n", "\n\n", "  "]))


def texts(client):
    return daemon_json() if client == "docker" else toml_files(client)


def values_of(client, text):
    """Returns what a text says, for a comparison: without members that are null or empty."""
    document = json.loads(text or "{}") if client == "docker" else tomllib.loads(text)

    def pruned(value):
        if not isinstance(value, dict):
            return value
        members = {name: pruned(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None and member != {}}

    return pruned(document)


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_twice_is_once_and_remove_gives_the_old_file_back(client, data):
    module, old = client_of(client), data.draw(texts(client))
    entry = Entry(NAME, data.draw(st.sampled_from([PATH, '/o"p\\t/ü'])), default=data.draw(st.booleans()), version=2)
    new = module.add(old, "f", entry)
    assert module.add(new, "f", entry) == new != old
    found = module.find(new, "f", NAME)
    assert (found.path, found.default) == (entry.path, entry.default)
    assert taken_out(module, new, "f", NAME, [old, None]) == old


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_step_by_step_is_the_same(client, data):
    """Another path and the default may come later; the first backup is still what comes back."""
    module, old = client_of(client), data.draw(texts(client))
    one = module.add(old, "f", Entry(NAME, "/first", version=2))
    two = module.add(one, "f", Entry(NAME, PATH, version=2))
    three = module.add(two, "f", Entry(NAME, PATH, default=True, version=2))
    assert three == module.add(old, "f", Entry(NAME, PATH, default=True, version=2))
    assert taken_out(module, three, "f", NAME, [two, one, old, None]) == old


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_remove_without_a_backup_leaves_what_others_say(client, data):
    module, old = client_of(client), data.draw(texts(client))
    is_default = data.draw(st.booleans())
    new = module.add(old, "f", Entry(NAME, PATH, default=is_default, version=2))
    left = taken_out(module, new, "f", NAME, [])
    wanted = values_of(client, old)
    if is_default and module.default(old, "f"):  # nobody knows any more what it was
        assert module.default(left, "f") == ""
        left = module.add(left, "f", Entry("other", PATH, default=True, version=2))
        left = module.remove(left, "f", "other", module.default(old, "f"))
    assert values_of(client, left or "") == wanted
    assert module.find(left or "", "f", NAME) is None


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_the_rest_stays_byte_for_byte(client, data):
    """Lines are only added, but for the one that names the default; and for JSON the comma that has to come."""
    module, old = client_of(client), data.draw(texts(client))
    new = module.add(old, "f", Entry(NAME, PATH, version=2))
    if client != "docker":
        lines = iter(new.splitlines(keepends=True))
        assert all(any(line.rstrip("\r\n") == other.rstrip("\r\n") for other in lines) for line in old.splitlines(True))
    if "\r\n" in old and "\n" not in old.replace("\r\n", ""):
        assert "\n" not in new.replace("\r\n", "")
    before = json.loads(old) if client == "docker" else tomllib.loads(old)
    after = json.loads(new) if client == "docker" else tomllib.loads(new)
    assert [name for name in after if name in before] == list(before)


@given(text=toml_files("podman"))
def test_statements_are_all_that_a_document_has(text):
    """What is found as a line is what the parser has under that name."""
    document = tomllib.loads(text)
    for statement in toml_text.statements(text):
        if statement.is_header or statement.path[0] == "array":
            continue
        value = document
        for part in statement.path:
            value = value[part]
        assert tomllib.loads(f"x = {text[statement.value : statement.after]}")["x"] == value


@given(old=st.none() | st.text("ab\n\r\x85 ", max_size=12), new=st.none() | st.text("ab\n\r\x85 ", max_size=12))
def test_the_difference_is_empty_when_there_is_none(old, new):
    assert (unified(old, new, "f") == "") == ((old or "") == (new or ""))


# ---- the command, on files


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("flags", [(), ("--set-as-default",), ("--name", "other.name")])
@pytest.mark.parametrize("there", [False, True])
def test_a_life(call, client, flags, there, tmp_path):
    """Shown, added, added again, taken out, taken out again."""
    file = tmp_path / "file"
    old = {"docker": '{"debug": true}\n', "containerd": "version = 3\n"}.get(client, "# nothing yet\n")
    if there:
        file.write_text(old)
    words = (client, "--config", file, *flags, *(("--containerd-version", "2") if client == "containerd" else ()))
    status, shown, err = call(*words, "--dry-run")
    assert (status, err) == (0, "")
    assert shown.startswith(f"--- {file if there else '/dev/null'}\n+++ {file}\n@@ ")
    assert [path.name for path in tmp_path.iterdir()] == (["file"] if there else [])

    status, out, err = call(*words)
    assert (status, err) == (0, "")
    assert out.startswith(shown)
    told = out.removeprefix(shown).splitlines()
    assert "restart" in told[1]
    assert len(told) == 2
    if there:
        (backup,) = backups(tmp_path)
        assert told[0] == f"{file} is written; the old one is {backup}"
        assert backup.read_text() == old
    else:
        assert told[0] == f"{file} is written"
    written = file.read_bytes()

    assert call(*words) == (0, f"{file}: nothing is to be changed\n", "")
    assert call(*words, "--dry-run") == (0, f"{file}: nothing is to be changed\n", "")
    assert file.read_bytes() == written
    assert len(backups(tmp_path)) == there

    removal = [word for word in words if word != "--set-as-default"]
    status, out, err = call(*removal, "--remove")
    assert (status, err) == (0, "")
    assert out.startswith(f"--- {file}\n")
    assert (file.read_text() if there else not file.exists()) == (old if there else True)
    assert {path.read_bytes() for path in backups(tmp_path)} == {written, *([old.encode()] if there else [])}
    assert call(*removal, "--remove") == (0, f"{file}: nothing is to be changed\n", "")
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in backups(tmp_path)} <= {"file"}


def test_backups_are_never_overwritten(call, tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "strftime", lambda *_: "20260101T000000Z")
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    for path in ("/bin/true", "/bin/false", "/bin/sh", "/bin/true"):
        assert call("docker", "--config", file, path=path)[0] == 0
    names = [path.name.removeprefix("daemon.json.bak-20260101T000000Z") for path in backups(tmp_path)]
    assert names == ["", "-001", "-002", "-003"]
    assert backups(tmp_path)[0].read_text() == "{}"
    assert "/bin/sh" in backups(tmp_path)[3].read_text()


def test_an_empty_file_comes_back_as_one(call, tmp_path):
    for client in ("docker", "podman"):
        file = tmp_path / client
        file.touch()
        assert call(client, "--config", file)[0] == 0
        assert call(client, "--config", file, "--remove")[0] == 0
        assert file.read_bytes() == b""


def test_the_default_comes_back_also_when_the_file_has_changed(call, tmp_path):
    file = tmp_path / "daemon.json"
    file.write_text('{"default-runtime": "nvidia"}')
    assert call("docker", "--config", file, "--set-as-default")[0] == 0
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "debug": True}))
    assert call("docker", "--config", file, "--remove")[0] == 0
    assert json.loads(file.read_text()) == {"default-runtime": "nvidia", "debug": True}


def test_a_broken_backup_is_passed_over(call, tmp_path):
    file = tmp_path / "daemon.json"
    file.write_text('{"default-runtime": "nvidia"}')
    (tmp_path / "daemon.json.bak-99990101T000000Z").write_bytes(b'{"broken')
    (tmp_path / "daemon.json.bak-99990102T000000Z").write_bytes(b"\xff")
    (tmp_path / "daemon.json.bak-99990103T000000Z").mkdir()
    assert call("docker", "--config", file, "--set-as-default")[0] == 0
    assert call("docker", "--config", file, "--remove")[0] == 0
    assert file.read_text() == '{"default-runtime": "nvidia"}'


def test_mode_and_owner_stay(call, tmp_path):
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12, 34)
    before = file.stat()
    assert call("docker", "--config", file)[0] == 0
    for path in (file, *backups(tmp_path)):
        assert (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )
    assert file.stat().st_ino != before.st_ino


def test_a_new_file_can_be_read_by_all(call, tmp_path):
    before = os.umask(0o077)
    try:
        assert call("docker", "--config", tmp_path / "new" / "daemon.json")[0] == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new/daemon.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("dangling", [False, True])
def test_symbolic_links_are_followed(call, tmp_path, dangling):
    (tmp_path / "real").mkdir()
    if not dangling:
        (tmp_path / "real/file.json").write_text("{}")
    link = tmp_path / "link.json"
    link.symlink_to("real/file.json")
    assert call("docker", "--config", link)[0] == 0
    assert link.is_symlink()
    assert NAME in (tmp_path / "real/file.json").read_text()
    assert len(backups(tmp_path / "real")) == (not dangling)
    assert call("docker", "--config", link, "--remove")[0] == 0
    assert link.is_symlink()


def test_backups_of_drop_in_files_are_not_among_them(call, tmp_path):
    """CRI-O reads every file in the directory, whatever its name."""
    folder = tmp_path / "crio.conf.d"
    folder.mkdir()
    assert call("crio", "--config", folder / "99.conf")[0] == 0
    assert call("crio", "--config", folder / "99.conf", path="/bin/false")[0] == 0
    assert [path.name for path in folder.iterdir()] == ["99.conf"]
    (backup,) = backups(tmp_path)
    assert backup.name.startswith("crio.conf.d-99.conf.bak-")
    assert call("crio", "--config", folder / "99.conf", "--remove")[0] == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fails", ["rename", "fsync", "unlink"])
def test_a_write_that_fails_leaves_everything_as_it_was(call, tmp_path, monkeypatch, fails):
    file = tmp_path / "daemon.json"
    if fails == "unlink":
        assert call("docker", "--config", file)[0] == 0
    else:
        file.write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = getattr(os, fails)

    def no(*arguments):
        if fails == "unlink" and not str(arguments[0]).endswith("daemon.json"):
            return real(*arguments)
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(files.os, fails, no)
    words = ("--remove",) if fails == "unlink" else ()
    status, _, err = call("docker", "--config", file, *words)
    monkeypatch.undo()
    assert status == 1
    assert f"{file} cannot be written: {file}: no space left on device" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_changes_meanwhile_is_not_overwritten(tmp_path):
    file = tmp_path / "f"
    file.write_text("old")
    seen = files.ConfigFile(str(file))
    file.write_text("newer")
    with pytest.raises(PyruntimeError, match="has changed meanwhile: nothing is written"):
        seen.replace("ours")
    assert file.read_text() == "newer"
    assert list(tmp_path.iterdir()) == [file]


def test_nobody_else_can_lay_a_file_where_the_new_one_is_written(call, tmp_path):
    file, target = tmp_path / "daemon.json", tmp_path / "target"
    file.write_text("{}")
    (tmp_path / f".daemon.json.{os.getpid()}").symlink_to(target)
    status, _, err = call("docker", "--config", file)
    assert status == 1
    assert "file exists" in err
    assert file.read_text() == "{}"
    assert not target.exists()
    assert backups(tmp_path) == []


# ---- what is wrong


@pytest.mark.parametrize(
    ("client", "text", "message"),
    [
        ("docker", '{\n  "a": 1,\n}', "FILE, line 3, column 1: expecting property name enclosed in double quotes"),
        ("docker", '{"a": 1} x', "FILE, line 1, column 9: there is text behind the end of the document"),
        ("docker", '{"a": 1, "a": 2}', "FILE: the member 'a' occurs twice in one object"),
        ("docker", "[]", "FILE, line 1: the document is not an object"),
        ("docker", '{\n"runtimes": []}', "FILE, line 2: runtimes is not an object"),
        ("podman", "a = 1\nb =\n", "FILE, line 2, column 4: invalid value"),
        ("podman", "a = 1\na = 2\n", "FILE, line 2, column 6: cannot overwrite a value"),
        ("podman", "engine = 1\n", "FILE: engine.runtimes is not a table"),
        ("podman", "[[engine]]\n", "FILE: engine.runtimes is not a table"),
        ("podman", "engine = {runtimes = {}}\n", "FILE: engine.runtimes.pyruntime is written in a form that has to be"),
        ("podman", "engine.runtimes.x = ['/x']\n", "FILE: engine.runtimes.pyruntime is written in a form that has to"),
        ("crio", "[crio.runtime]\nruntimes = 1\n", "FILE: crio.runtime.runtimes is written in a form that has to be"),
        ("containerd", "version = 'x'\n", "FILE: version: 'x' is not a version"),
        ("containerd", "version = 0\n", "FILE: version: 0 is not a version"),
        ("docker", b'{\n"a": "\xff"}', "FILE, line 2: a byte is not UTF-8"),
        ("podman", b"a = 1\n\n# \xff", "FILE, line 3: a byte is not UTF-8"),
    ],
)
def test_files_that_cannot_be_changed(call, tmp_path, client, text, message):
    file = tmp_path / "file"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    status, out, err = call(client, "--config", file)
    assert (status, out) == (1, "")
    assert message.replace("FILE", str(file)) in err.replace('\\"', '"')
    assert len(err.splitlines()) == 1
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_removed_from_a_form_that_is_not_known(call, tmp_path):
    file = tmp_path / "file"
    file.write_text('engine.runtimes = {pyruntime = ["/x"], b = ["/y"]}\n')
    status, _, err = call("podman", "--config", file, "--remove")
    assert status == 1
    assert "engine.runtimes.pyruntime is written in a form that has to be changed by hand" in err
    assert "pyruntime" in file.read_text()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_refused(call, tmp_path, kind):
    path = tmp_path / "file"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    status, _, err = call("docker", "--config", path)
    assert status == 1
    assert f"{path} is not a regular file" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), 'pyruntime: "configure" requires exactly 1 argument(s)'),
        (("docker", "podman"), 'pyruntime: "configure" requires exactly 1 argument(s)'),
        (("lxc",), "it is one of docker, containerd, podman, crio"),
        (("docker", "--name", "a/b"), 'invalid value "a/b" for flag -name'),
        (("docker", "--name", ""), 'invalid value "" for flag -name'),
        (("docker", "--name", "-x"), 'invalid value "-x" for flag -name'),
        (("docker", "--name", "a\n"), "letters, digits and _ . - make a name"),
        (("docker", "--name", "runc"), "clients have a runtime of that name"),
        (("containerd", "--containerd-version", "3"), "it is 1 or 2"),
        (("docker", "--remove", "--set-as-default"), "exclude each other"),
    ],
)
def test_misuse(call, tmp_path, words, message):
    status, out, err = call(*words, "--config", tmp_path / "f")
    assert status == 1
    assert message in err.replace('\\"', '"')
    assert out.startswith("Incorrect Usage.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["config", "runtime-path"])
@pytest.mark.parametrize("value", ["/x\n/y", "/x\x1b[31m", "/x\udcff"])
def test_paths_that_cannot_be_shown_are_refused(capfd, tmp_path, flag, value):
    words = {"config": str(tmp_path / "f"), "runtime-path": "/bin/true", flag: value}
    flags = [word for name, text in words.items() for word in (f"--{name}", text)]
    assert main.main(["configure", "docker", *flags]) == 1
    err = capfd.readouterr().err
    assert f"for flag -{flag}: a character cannot be printed" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_the_difference_is_utf_8_in_every_locale(tmp_path, locale):
    (tmp_path / "f").write_text('{\n"label": "\u0141\u00f3d\u017a"\n}\n')
    program = "import sys; sys.path.insert(0, sys.argv[1]); from pyruntime.cli.main import main; main(sys.argv[2:])"
    words = ("configure", "docker", "--config", str(tmp_path / "f"), "--runtime-path", "/bin/true")
    top = str(GOLDEN.parent.parent)
    environment = {"LC_ALL": locale, "PYTHONIOENCODING": "latin-1" if "8859" in locale else ""}
    done = subprocess.run(
        [sys.executable, "-c", program, top, *words], capture_output=True, check=True, env=environment
    )
    assert '\n+"label": "\u0141\u00f3d\u017a",\n' in done.stdout.decode()


# ---- which program, which file, which version


def test_the_launcher_that_runs_is_entered(call, tmp_path, monkeypatch, capfd):
    launcher = tmp_path / "sbin/pyruntime"
    launcher.parent.mkdir()
    launcher.write_text("")
    launcher.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sbin/./pyruntime"])
    assert main.main(["configure", "docker", "--config", "daemon.json"]) == 0
    assert json.loads((tmp_path / "daemon.json").read_text())["runtimes"] == {NAME: {"path": str(launcher)}}


@pytest.mark.parametrize("program", ["-c", "/x/pyruntime/__main__.py", "/nonexistent", "/etc/passwd"])
def test_what_is_no_launcher_is_not_entered(tmp_path, monkeypatch, capfd, program):
    monkeypatch.setattr(sys, "argv", [program])
    assert main.main(["configure", "docker", "--config", str(tmp_path / "f")]) == 1
    assert "which launcher runs cannot be told: name it with --runtime-path" in capfd.readouterr().err


def test_a_path_to_no_program_is_a_warning(call, tmp_path):
    """Images are made before everything is installed."""
    status, _, err = call("docker", "--config", tmp_path / "f", path="/nonexistent/pyruntime")
    assert status == 0
    assert "level=warning" in err
    assert "/nonexistent/pyruntime is not a program that can be run" in err


def test_the_plugin_that_is_disabled_is_named(call, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('disabled_plugins = ["cri"]\n')
    status, _, err = call("containerd", "--config", file)
    assert status == 0
    assert "disabled_plugins has the CRI plugin" in err


def fake_containerd(folder, script, monkeypatch):
    folder.mkdir()
    (folder / "containerd").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "containerd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", 2),
        ("containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da", 2),
        ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376", 3),
    ],
)
def test_a_new_file_has_the_form_of_the_containerd_that_is_installed(call, tmp_path, monkeypatch, line, version):
    fake_containerd(tmp_path / "bin", f"echo '{line}'", monkeypatch)
    assert call("containerd", "--config", tmp_path / "c.toml")[0] == 0
    text = (tmp_path / "c.toml").read_text()
    assert text.startswith(f"version = {version}\n")
    assert tomllib.loads(text)["plugins"].keys() == {containerd.PLUGINS.get(version, containerd.PLUGIN)}


def test_without_containerd_its_version_has_to_be_told(call, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    status, _, err = call("containerd", "--config", tmp_path / "c.toml")
    assert status == 1
    assert "containerd is not installed, so its version has to be told: --containerd-version 1 or 2" in err
    assert call("containerd", "--config", tmp_path / "c.toml", "--remove")[0] == 0
    for number, version in (("1", 2), ("2", 3)):
        file = tmp_path / f"c{number}.toml"
        assert call("containerd", "--config", file, "--containerd-version", number)[0] == 0
        assert tomllib.loads(file.read_text())["version"] == version


@pytest.mark.parametrize(("script", "message"), [("echo what", "says 'what'"), ("exit 3", "exit status 3")])
def test_a_containerd_that_does_not_tell_its_version(call, tmp_path, monkeypatch, script, message):
    fake_containerd(tmp_path / "bin", script, monkeypatch)
    status, _, err = call("containerd", "--config", tmp_path / "c.toml")
    assert status == 1
    assert message in err
    assert "--containerd-version 1 or 2" in err


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """Another directory in place of /etc, for the files that are changed without --config."""
    from pyruntime.clients import crio, docker, podman

    for module in (docker, containerd):
        monkeypatch.setattr(module, "FILE", f"{tmp_path}{module.FILE}")
    for module in (podman, crio):
        monkeypatch.setattr(module, "FOLDER", f"{tmp_path}{module.FOLDER}")
    return tmp_path / "etc"


@pytest.mark.parametrize(
    ("client", "file"),
    [
        ("docker", "docker/daemon.json"),
        ("containerd", "containerd/config.toml"),
        ("podman", "containers/containers.conf.d/99-pyruntime.conf"),
        ("crio", "crio/crio.conf.d/99-pyruntime.conf"),
    ],
)
def test_files_of_the_clients(call, etc, client, file):
    words = ("--containerd-version", "2") if client == "containerd" else ()
    assert call(client, *words)[0] == 0
    assert [path for path in etc.rglob("*") if path.is_file()] == [etc / file]
    assert call(client, "--remove")[0] == 0
    assert not (etc / file).exists()


@pytest.mark.parametrize("imports", ["conf.d/*.toml", "{}/containerd/conf.d/*.toml"])
def test_containerd_2_has_a_file_of_its_own_where_it_imports_a_directory(call, etc, imports):
    main_file = etc / "containerd/config.toml"
    main_file.parent.mkdir(parents=True)
    table = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    main_file.write_text(f'version = 3\nimports = ["/x.toml", "{imports.format(etc)}"]\n{table}')
    before = main_file.read_text()
    assert call("containerd", "--set-as-default")[0] == 0
    own = tomllib.loads((etc / "containerd/conf.d/99-pyruntime.toml").read_text())
    assert own["version"] == 3
    part = own["plugins"][containerd.PLUGIN]["containerd"]
    assert part["default_runtime_name"] == NAME
    assert part["runtimes"][NAME]["options"] == {"BinaryName": "/bin/true", "SystemdCgroup": True}
    assert main_file.read_text() == before
    assert call("containerd", "--remove")[0] == 0
    assert list((etc / "containerd/conf.d").iterdir()) == []


@pytest.mark.parametrize("text", ["version = 2\nimports = ['conf.d/*.toml']\n", "version = 3\nimports = ['/a.toml']\n"])
def test_containerd_1_replaces_what_is_imported_so_its_own_file_is_changed(call, etc, text):
    main_file = etc / "containerd/config.toml"
    main_file.parent.mkdir(parents=True)
    main_file.write_text(text)
    assert call("containerd")[0] == 0
    assert NAME in main_file.read_text()
    assert not (etc / "containerd/conf.d").exists()


def test_where_the_main_file_has_the_runtime_it_stays_there(call, etc):
    main_file = etc / "containerd/config.toml"
    main_file.parent.mkdir(parents=True)
    main_file.write_text("version = 3\nimports = ['conf.d/*.toml']\n")
    assert call("containerd", "--config", main_file)[0] == 0
    assert call("containerd", path="/bin/false")[0] == 0
    assert "/bin/false" in main_file.read_text()
    assert not (etc / "containerd/conf.d").exists()


def test_forms_that_are_not_known_are_refused_and_not_guessed():
    with pytest.raises(ConfigError, match="has to be changed by hand"):
        toml_text.assign("a.b.c = 1\n", "f", ("a", "b", "d"), "x")
    with pytest.raises(ConfigError, match="has to be changed by hand"):
        toml_text.cut("a = {b = 1, c = 2}\n", "f", ("a", "b"))
