"""Fuzz target: config.json on its way to a plan. Whatever its bytes are, a plan or one sentence comes of them.

check_config() is what is tried, mutate() makes new inputs of old ones. fuzz_config.py drives both, and a unit test goes
through the corpus with the first.
"""

import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/golden"), str(ROOT / "tests/unit")]

import cases  # noqa: E402 (found through the path above)
from valid_configs import EDGES, FULL, at, copy, places  # noqa: E402

from pyruntime.cli.log import printable  # noqa: E402
from pyruntime.config.check import check  # noqa: E402
from pyruntime.config.load import parse_config  # noqa: E402
from pyruntime.config.where import point_out  # noqa: E402
from pyruntime.errors import ConfigError  # noqa: E402
from pyruntime.plan.create import compile_create  # noqa: E402
from pyruntime.plan.facts import Facts, Request  # noqa: E402
from pyruntime.plan.form import encode  # noqa: E402
from pyruntime.plan.text import render  # noqa: E402

TABLE_HASH = 0  # as in hosted.h
HOSTS = [
    *cases.HOSTS.values(),
    cases.HOSTS["v2"] | {"privileged": False},
    cases.HOSTS["v2"] | {"user_namespace": True},
]


def check_config(data, decoder=None):
    """Takes a config.json through all that `create` does with it before it touches the host.

    Returns the number of hosts for which a plan came of it; `decoder`, if there is one, is asked about each. Raises
    AssertionError, or whatever else escapes.
    """
    try:
        config = parse_config(data)
        warnings = check(config)
    except ConfigError as error:
        _judge(point_out(error, data))
        return 0
    plans = 0
    for facts in HOSTS:
        try:
            plan = compile_create(config, Facts(**facts), Request(container_id="ID", bundle="/bundle", console=True))
        except ConfigError as error:
            _judge(point_out(error, data))
            continue
        plans += 1
        form = encode(plan, TABLE_HASH, 7, {3: 3, 4: 4})
        _judge(render(plan), 1 << 24)
        for warning in (*warnings, *plan.warnings):
            _judge(warning)
        if decoder is not None:
            assert "refused" not in decoder.decode(form)
    return plans


def _judge(message, limit=10_000):
    """A message says something, not everything, and can be written to a log."""
    assert message.strip()
    assert len(message) < limit, message
    printable(message).encode("utf-8", "backslashreplace")


def _values():
    """Returns name -> values that configs have under it; those of lists are under ""."""
    found = {}
    for config in (FULL, *(copy(case[0]) for case in cases.CASES.values())):
        for path in places(config)[1:]:
            found.setdefault(path[-1] if isinstance(path[-1], str) else "", []).append(at(config, path))
    return found


VALUES = _values()
NAMES = sorted(VALUES)


def mutate(data, mutate_bytes, seed):
    """Returns another config.json made of one: with parts taken out, exchanged, added or spoiled, or, when it is no
    JSON and now and then anyway, with other bytes.

    `mutate_bytes` takes bytes and a size, and returns bytes of at most that size.
    """
    dice = random.Random(seed)
    try:
        config = json.loads(data)
        if isinstance(config, dict) and dice.random() < 0.9:
            for _ in range(dice.randint(1, 3)):
                _change(config, dice, mutate_bytes)
            return json.dumps(config).encode()
    except (ValueError, RecursionError):
        pass  # no JSON, or too deep to walk
    return mutate_bytes(data, len(data) + 64)


def _change(config, dice, mutate_bytes):
    """Does one thing to one place of a config."""
    path = dice.choice(places(config))
    if not path:
        name = dice.choice(NAMES)
        config[name] = copy(dice.choice(VALUES[name]))
        return
    parent, last = at(config, path[:-1]), path[-1]
    value = parent[last]
    match dice.randrange(8):
        case 0:
            del parent[last]
        case 1 | 2:
            parent[last] = copy(dice.choice(VALUES.get(last if isinstance(last, str) else "", [value])))
        case 3:
            parent[last] = dice.choice(EDGES)
        case 4 if isinstance(value, dict):
            name = dice.choice(NAMES)
            value[name] = copy(dice.choice(VALUES[name]))
        case 4 if isinstance(value, list) and value:
            value.append(copy(dice.choice(value)))
        case 4 | 5 if isinstance(value, str):
            parent[last] = value * dice.choice((2, 16, 300))
        case _ if isinstance(value, str):
            spoiled = mutate_bytes(value.encode("utf-8", "surrogatepass"), len(value) + 16)
            parent[last] = spoiled.decode("utf-8", "replace")
        case _ if isinstance(value, int):
            parent[last] = value + dice.choice((1, -1, 1 << 16, 1 << 31, 1 << 32, 1 << 63, -(1 << 32)))
        case _:
            parent[last] = dice.choice(EDGES)
