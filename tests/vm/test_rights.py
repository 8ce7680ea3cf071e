"""What root may do where nothing has been taken away from it."""

import pytest

pytestmark = pytest.mark.usefixtures("sys_resource")
LOW = ["prlimit", "--nofile=256:512", "--core=0:0"]


@pytest.mark.parametrize("user", [False, True])
def test_hard_limits_are_raised(bundle, runtime, user):
    """Also for a user namespace, in which nobody could do it any more."""
    runtime.prefix = [*runtime.prefix, *LOW]
    if user:
        bundle.namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_CORE", "soft": 1 << 20, "hard": (1 << 64) - 1},
    ]
    seen = bundle.run("ulimit -S -n; ulimit -H -n; ulimit -S -c; ulimit -H -c; grep 'core file' /proc/self/limits").out
    assert seen.split()[:4] == ["4096", "8192", str((1 << 20) // 512), "unlimited"]


def test_the_callers_limits_are_kept_where_nothing_is_said(bundle, runtime):
    runtime.prefix = [*runtime.prefix, *LOW]
    bundle.process.pop("rlimits", None)
    assert bundle.run("ulimit -S -n; ulimit -H -n").out.split() == ["256", "512"]


def test_out_of_memory_score_is_lowered(bundle):
    bundle.process["oomScoreAdj"] = -500
    assert bundle.run("cat /proc/self/oom_score_adj").out == "-500\n"


def test_all_capabilities(bundle):
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    from pyruntime.config.names import CAPABILITIES

    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = list(CAPABILITIES[: last + 1])
    result = bundle.run("grep -E 'Cap(Eff|Bnd)' /proc/self/status")
    assert result.out == f"CapEff:\t{(1 << last + 1) - 1:016x}\nCapBnd:\t{(1 << last + 1) - 1:016x}\n"
    assert "left out" not in result.err
