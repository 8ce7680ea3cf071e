"""What documents show as output is what comes out: plans, messages, states, and what they count."""

import errno
import json
import re
import sys

import pytest
from documents import DOCUMENTS, ROOT, blocks, read, rows, section

from pyruntime.cli import spec
from pyruntime.cli.features import features
from pyruntime.cli.help import COMMANDS
from pyruntime.cli.log import quoted
from pyruntime.config.check import check
from pyruntime.config.dump import dumps, hook_state
from pyruntime.config.load import parse_config
from pyruntime.config.where import point_out
from pyruntime.errors import ConfigError
from pyruntime.plan import ops, text
from pyruntime.plan.create import compile_create
from pyruntime.plan.facts import Facts, Hierarchy, Request
from pyruntime.run.report import init_failed

sys.path[:0] = [str(ROOT / "tests/golden"), str(ROOT / "conformance/bench")]

import budgets  # noqa: E402 (found through the path above)
import cases  # noqa: E402

TOUR = read("docs/tour.md")
SOURCE = blocks(TOUR, "json")[0]
HOST = Facts(cgroups=(Hierarchy(2, "/sys/fs/cgroup", cases.CONTROLLERS, "/"),))


def plan_of(source):
    config = parse_config(source.encode())
    assert check(config) == []
    return compile_create(config, HOST, Request(container_id="web", bundle="/srv/web"))


def refusal(source):
    """Returns the message for a config that is refused."""
    with pytest.raises(ConfigError) as caught:
        check(parse_config(source.encode()))
    return point_out(caught.value, source.encode())


def matches(shown, lines):
    """Whether the lines of a document are those of some output, where … alone stands for any number of lines, and
    inside a line for any text."""
    pattern = ""
    for line in shown.splitlines():
        inside = ".*".join(re.escape(part) for part in line.split("…"))
        pattern += "(?:.*\n)*" if line.strip() == "…" else f"{inside}\n"
    return re.fullmatch(pattern, lines)


def block_with(name, words):
    """Returns the one block of code of a document that has these words."""
    (found,) = [block for block in blocks(read(name)) if words in block]
    return found


# ---- the tour's container


def test_plan_of_the_tour():
    assert matches(block_with("docs/tour.md", "write-state creating"), text.render(plan_of(SOURCE)))


def test_numbers_of_ops_in_the_tour():
    plan = plan_of(SOURCE)
    numbered = list(enumerate(plan.ops, 1))
    assert [op.name for number, op in numbered if number in (55, 57, 58, 59)] == [
        "write-state", "wait-start", "started", "execute",
    ]  # fmt: skip
    assert "Op 55 writes that the container is created" in TOUR
    assert "waits in op 57" in TOUR
    assert "is done (op 58), and executes the program (op 59)" in TOUR
    (mount,) = [op for _, op in numbered if op.name == "open-tree" and op.args[1] == "/srv/data"]
    assert (numbered[5][1], [op for op in plan.ops if op.lane == ops.INIT][1]) == (mount, mount)
    assert "op 6 of the plan, the second of its own lane" in TOUR.replace("\n", " ")


@pytest.mark.parametrize("name", ["docs/tour.md", "docs/reference/errors.md"])
def test_a_mount_that_fails(name):
    (op,) = [op for op in plan_of(SOURCE).ops if op.name == "open-tree" and op.args[1] == "/srv/data"]
    message = point_out(init_failed(op, errno.ENOENT, "open_tree"), SOURCE.encode())
    assert f"\npyruntime create failed: {message}\n" in read(name)


def test_parts_of_a_message():
    """The table takes the message above it apart, and leaves nothing out."""
    page = section(read("docs/reference/errors.md"), "## What a message is made of")
    message = blocks(page)[0].rstrip("\n")
    parts = [re.match(r"`([^`]*)`", cells[0]).group(1) for cells in rows(page)]
    assert "".join(parts) == message


def test_configs_that_are_refused():
    uid = refusal(SOURCE.replace('"uid": 1000', '"uid": 4294967295'))
    for name in ("docs/tour.md", "docs/reference/errors.md"):
        assert f"\npyruntime create failed: {uid}\n" in read(name)
    errors = read("docs/reference/errors.md")
    masks = '"maskedPaths": ["/proc/kcore"]'
    filtered = refusal(SOURCE.replace(masks, f'{masks},\n        "seccomp": {{"defaultAction": "SCMP_ACT_NOTIFY"}}'))
    assert f"\npyruntime create failed: {filtered}\n" in errors
    for document in ("{", '{"a": 1, "a": 2}'):
        assert f"\n{refusal(document)}\n" in errors


def test_state_of_the_tour():
    plan = plan_of(SOURCE)
    config = parse_config(SOURCE.encode())
    state = json.loads(blocks(TOUR, "json")[1])
    (members,) = re.findall(r"class State\(TypedDict\):(.*?)\n\n\n", read("pyruntime/state.py"), flags=re.DOTALL)
    assert list(state) == re.findall(r"^        (\w+): ", members, flags=re.MULTILINE)
    names = [op.name for op in plan.ops if op.lane == ops.INIT]
    assert state["startOp"] == names.index("wait-start") + 1
    assert state["cgroups"] == plan.cgroups
    assert state["hooks"] == list(config["hooks"])
    listing = block_with("docs/tour.md", "prw-------")
    assert f" {len(dumps(state))} state.json\n" in listing
    assert f" {len(SOURCE)} config.json\n" in listing
    assert hook_state(config, "web", "/srv/web", "creating", state["pid"]) in TOUR
    shown = json.loads(block_with("docs/reference/commands.md", '"owner": ""'))
    assert {name: state[name] for name in shown if name in state and name != "ociVersion"}.items() <= shown.items()


def test_plan_as_json():
    shown = json.loads(block_with("docs/reference/commands.md", '"lane": "host"'))
    assert shown == text.to_json(plan_of(SOURCE))[shown["number"] - 1]


def test_files_of_init_in_the_tour():
    """Its table has every file that has ops, and none that is not there."""
    table = section(TOUR, "## 4. DO: two processes, one list")
    named = {word for cells in rows(table) for word in re.findall(r"`(init/\w+\.c)`", cells[0])}
    with_ops = {f"init/{path.name}" for path in (ROOT / "init").glob("*.c") if "\nint op_" in path.read_text()}
    assert with_ops <= named
    assert all((ROOT / name).is_file() for name in named)


# ---- README


def default_config():
    """Returns what `spec` writes."""
    return spec.pretty(spec.default_config(rootless=False), "\t")


def test_plan_of_the_readme():
    sample, _, _ = (
        block_with("README.md", "$ pyruntime plan").removeprefix("$ pyruntime plan --id web web\n").partition("\n\n")
    )
    assert matches(sample + "\n", text.render(plan_of(default_config())))


def test_message_of_the_readme():
    message = refusal(default_config().replace("RLIMIT_NOFILE", "RLIMIT_FOO"))
    line = block_with("README.md", "RLIMIT_FOO").rstrip("\n").rpartition("\n")[2]
    whole = f'time="2026-11-24T14:09:41Z" level=error msg={quoted(f"pyruntime run failed: {message}")}'
    assert matches(line + "\n", whole + "\n")


def features_of_the_readme():
    """Returns the rows of its table: what -> what it says of pyruntime."""
    return {cells[0]: cells[1] for cells in rows(section(read("README.md"), "## What works today"))}


def test_commands_that_the_readme_says_are_there():
    """Every command is in its table, and those that it says are not there are not."""
    said = {"yes": [], "no": []}
    for row, ours in features_of_the_readme().items():
        if row.startswith("`"):
            said[ours] += re.findall(r"`(\w+)`", row)
    assert sorted(said["yes"]) == sorted(COMMANDS)
    assert said["no"]
    assert not set(said["no"]) & COMMANDS.keys()


def test_what_the_readme_says_is_not_there():
    """What the code refuses because it cannot do it has a row that says no."""
    sources = "".join(path.read_text() for path in (ROOT / "pyruntime").rglob("*.py"))
    refused = set(re.findall(r"(\S+) is not supported by this version", sources.replace('"', " ")))
    # by the words that the table has for them
    spoken = {"--systemd-cgroup": "systemd cgroup driver"}
    found = features_of_the_readme()
    for name in refused:
        assert found[spoken[name]] == "no", name


def test_features_of_the_readme():
    """Its table says of these what `features` says."""
    linux = features()["linux"]
    found = features_of_the_readme()
    for row, there in {
        "cgroup v1, hybrid and v2": linux["cgroup"]["v1"] and linux["cgroup"]["v2"],
        "systemd cgroup driver": linux["cgroup"]["systemd"],
        "seccomp, with an agent too": linux["seccomp"]["enabled"] and "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"],
        "AppArmor, SELinux": linux["apparmor"]["enabled"] and linux["selinux"]["enabled"],
        "Intel RDT": linux["intelRdt"]["enabled"],
        "id-mapped mounts": linux["mountExtensions"]["idmap"]["enabled"],
        "network devices moved into the container": linux["netDevices"]["enabled"],
        "scheduler, I/O priority, memory policy, personality": bool(linux["memoryPolicy"]["modes"]),
        "namespaces of all eight types, new and joined; id maps, clock offsets": len(linux["namespaces"]) == 8,
        "hooks of all six kinds": len(features()["hooks"]) == 6,
    }.items():
        assert found[row] == ("yes" if there else "no"), row


# ---- what documents count


def test_ops_are_counted_right():
    assert f"{len(ops.INIT_OPS)} in the init lane and {len(ops.HOST_OPS)} in the host lane" in read("docs/design.md")


def test_budgets_are_those_that_are_measured():
    table = {
        cells[0]: cells[1]
        for cells in rows(section(read("docs/design.md"), "## Start-up: a benchmark, not a timed test"))
    }
    said = {
        (phase.strip(" `").replace(" ", "").partition(",")[0], "bare" if "bare" in limit else "runc"): float(
            limit.split(" ")[0]
        )
        for what, limit in table.items()
        if limit.endswith(("interpreter", "runc"))
        for phase in what.removesuffix(", default bundle").split(", ")
    }
    assert said == {(phase, against): limit for phase, against, limit in budgets.RATIOS}
    assert table["a waiting init's private memory"] == f"{budgets.INIT_KIB} KiB"
    assert table["peak memory of any command, default bundle"] == f"{budgets.PEAK_KIB // 1024} MiB"
    assert table["one of 1,000 bind mounts"] == f"{budgets.MOUNT_MICROSECONDS} µs"
    assert table["what a GPU adds to `create`"] == f"{budgets.GPU_MILLISECONDS} ms"


def test_figures_are_there():
    """`make figures` writes them between two marks."""
    source = read("conformance/bench/__main__.py")
    (begin, end) = re.search(r'^BEGIN, END = "(.*)", "(.*)"$', source, flags=re.MULTILINE).groups()
    page = read("docs/performance.md")
    assert (page.count(begin), page.count(end)) == (1, 1)
    figures = page.partition(begin)[2].partition(end)[0]
    for phase, _, _ in budgets.RATIOS:
        assert f"| `{phase}`, ms |" in figures
    assert "| budget | measured | at most |" in figures
    assert read("docs/performance.svg").startswith("<svg")


def test_targets_of_make():
    """Those that documents name have a rule."""
    rules = set(re.findall(r"^([\w-]+):(?!=)", read("Makefile"), flags=re.MULTILINE))
    for path in DOCUMENTS:
        for target in re.findall(r"(?:`|^|\n)make ([a-z][\w-]*)", path.read_text()):
            assert target in rules, f"{path.name}: make {target}"


def test_packages_of_the_distribution():
    """The guide's list is the one that is installed from."""
    (line,) = re.findall(r"^ +build\) echo (.*) ;;$", read("install/setup.sh"), flags=re.MULTILINE)
    guide = read("docs/guide/install.md")
    assert ", ".join(line.split()) in guide.replace("\n", " ")
    assert line in guide


def test_version_of_the_guide():
    from pyruntime import SPEC_VERSION, __version__

    guide = read("docs/guide/install.md")
    assert f"pyruntime version {__version__}\n" in guide
    assert f"spec: {SPEC_VERSION}\n" in guide
