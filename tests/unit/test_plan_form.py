"""What Python writes into a plan is what init reads in it: encoded here, decoded by init/plan.c under sanitizers."""

import json
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_configs import CONFIGS, REQUESTS
from random_rare import OFFSETS, RARE_LINUX, RARE_MOUNTS, RARE_PROCESS, RESOURCES_1, RESOURCES_2

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "golden"), str(ROOT / "fuzz")]

import cases  # noqa: E402 (found through the path above)
from decoder import Decoder, build  # noqa: E402

from pyruntime.config.check import check  # noqa: E402
from pyruntime.config.load import parse_config  # noqa: E402
from pyruntime.plan.create import compile_create  # noqa: E402
from pyruntime.plan.facts import Facts, Hierarchy  # noqa: E402
from pyruntime.plan.form import encode  # noqa: E402
from pyruntime.plan.ops import INIT, INIT_OPS, Plan  # noqa: E402

SIGNATURES = dict(INIT_OPS)
TABLE_HASH = 0
HOSTS = [cases.HOSTS["v1"], cases.HOSTS["hybrid"], cases.HOSTS["v2"], cases.HOSTS["v2"] | {"user_namespace": True}]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    build(folder)
    decoder = Decoder(folder / "decode")
    yield decoder
    decoder.close()


def shown(letter, value):
    """An argument as decode.c prints it."""
    match letter:
        case "u":
            return value
        case "s":
            return value.encode().hex()
        case "b":
            return value.hex()
        case "l":
            return [item.encode().hex() for item in value]
    return list(value)


def ops(plan):
    return [
        [op.name, *(shown(letter, value) for letter, value in zip(SIGNATURES[op.name], op.args, strict=True))]
        for op in plan.ops
        if op.lane == INIT
    ]


def agree(decoder, plan, *, socket=3, descriptors=None, step=False):
    got = decoder.decode(encode(plan, TABLE_HASH, socket, descriptors or {}, step=step))
    assert got == {
        "flags": int(step),
        "socket": socket,
        "descriptors": [list(item) for item in (descriptors or {}).items()],
        "ops": ops(plan),
    }


@given(config=CONFIGS, request=REQUESTS, host=st.sampled_from(HOSTS))
def test_a_right_config_becomes_a_plan_that_init_reads(decoder, config, request, host):
    config = parse_config(json.dumps(config).encode())
    check(config)
    agree(decoder, compile_create(config, Facts(**host), request))


ALL_1 = tuple(
    Hierarchy(1, f"/sys/fs/cgroup/{name}", tuple(name.split(",")), "/")
    for name in ("cpu,cpuacct", "cpuset", "memory", "devices", "blkio", "pids", "hugetlb", "rdma", "net_cls,net_prio")
)
ALL_2 = (Hierarchy(2, "/sys/fs/cgroup", (*cases.CONTROLLERS, "rdma", "misc"), "/"),)
# everything that a plan may ask a host for, but for the version of its cgroups
COMPLETE = {"apparmor": True, "selinux": True, "resctrl": "/sys/fs/resctrl", "filter": bytes(64)}
VERSIONS = [
    (RESOURCES_1, Facts(cgroups=ALL_1, unified=False, **COMPLETE)),
    (RESOURCES_2, Facts(cgroups=ALL_2, unified=True, **COMPLETE)),
]


@given(data=st.data(), config=CONFIGS, request=REQUESTS, version=st.sampled_from(VERSIONS))
def test_and_so_does_one_with_members_that_few_have(decoder, data, config, request, version):
    resources, facts = version
    config["linux"] |= data.draw(RARE_LINUX) | {"resources": data.draw(resources)}
    config["mounts"] += data.draw(RARE_MOUNTS)
    if "process" in config:
        config["process"] |= data.draw(RARE_PROCESS)
    if {"type": "time"} in config["linux"]["namespaces"]:
        config["linux"]["timeOffsets"] = data.draw(OFFSETS)
    config = parse_config(json.dumps(config).encode())
    check(config)
    agree(decoder, compile_create(config, facts, request))


NUMBERS = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = {
    "u": NUMBERS,
    "s": TEXT,
    "b": st.binary(),
    "l": st.lists(TEXT, max_size=5),
    "a": st.tuples(*[NUMBERS] * 6),
}
OPS = st.sampled_from(INIT_OPS).flatmap(
    lambda entry: st.tuples(st.just(entry[0]), *(VALUES[letter] for letter in entry[1]))
)


@given(
    wanted=st.lists(OPS),
    socket=st.integers(3, 2**31 - 1),
    descriptors=st.dictionaries(st.integers(1, 8190), st.integers(3, 2**31 - 1), max_size=5),
    step=st.booleans(),
)
def test_every_op_with_any_arguments(decoder, wanted, socket, descriptors, step):
    plan = Plan()
    for name, *args in wanted:
        plan.init(name, "", *args)
    agree(decoder, plan, socket=socket, descriptors=descriptors, step=step)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("device", "/x", -1, 0, 0, 0, 0, 0), struct.error),
        (("device", "/x", 2**64, 0, 0, 0, 0, 0), struct.error),
        (("hostname", "\ud800"), UnicodeEncodeError),
        (("hostname",), ValueError),
        (("hostname", "x", "y"), ValueError),
        (("groups", 5), TypeError),
    ],
)
def test_what_does_not_fit_is_not_written(args, error):
    """A number that is cut to its last 64 bits, or 32, would be another one: 2^32 as user id would be root."""
    plan = Plan()
    plan.init(args[0], "", *args[1:])
    with pytest.raises(error):
        encode(plan, TABLE_HASH, 3, {})


def test_a_string_with_a_nul_is_refused(decoder):
    """The config can hold none; should one come another way, init would read half of it."""
    plan = Plan()
    plan.init("hostname", "", "half\0other")
    assert decoder.decode(encode(plan, TABLE_HASH, 3, {})) == {"refused": "malformed op"}


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (0, "<Q", 0, "not a plan"),
        (8, "<Q", 1, "the plan was made for another version of init"),
        (16, "<I", 0, "wrong size"),
        (24, "<I", 8193, "too many ops or descriptors"),
        (28, "<I", 65537, "too many ops or descriptors"),
        (32, "<I", 1 << 20, "areas outside the plan"),
        (28, "<I", 0, "bytes behind the last op"),
        (40, "<I", 0, "bad descriptor table"),
        (40, "<I", 8191, "bad descriptor table"),
        (44, "<i", 2, "bad descriptor table"),
        (44, "<i", -1, "bad descriptor table"),
        (48, "<I", len(INIT_OPS), "malformed op"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_a_reason(decoder, at, form, value, reason):
    plan = Plan()
    plan.init("hostname", "", "box")
    data = bytearray(encode(plan, TABLE_HASH, 3, {5: 4}))
    struct.pack_into(form, data, at, value)
    assert decoder.decode(bytes(data)) == {"refused": reason}


@pytest.mark.parametrize("size", [0, 1, 39])
def test_a_plan_that_is_too_short(decoder, size):
    assert decoder.decode(bytes(size)) == {"refused": "wrong size"}
