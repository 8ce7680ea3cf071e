"""The compiled check and jsonschema come to the same verdict, whatever is done to a config; and a refusal has a reason.

The hot path only learns that a config is wrong (config/verdict.py); why is for jsonschema to say (config/explain.py).
If the two differed, a config would be let through that the schema refuses, or refused with no reason.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from valid_configs import BASE, CONFIG, EDGES, FULL, PARTS, WORDS, at, change, copy, places

from pyruntime.cli.spec import default_config
from pyruntime.config.explain import explain, validator
from pyruntime.config.verdict import is_valid
from pyruntime.errors import ConfigError
from specs.compile import HEADER, Compiler

CHECK = validator("config.schema.json")
SEEDS = [FULL, BASE, default_config(rootless=False), default_config(rootless=True)]

JSON = st.recursive(
    st.sampled_from(EDGES) | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner),
    max_leaves=8,
)


# what belongs elsewhere
ELSEWHERE = [at(FULL, path) for path in places(FULL)]
OTHER = st.one_of(st.sampled_from(EDGES), st.sampled_from(WORDS), JSON, st.sampled_from(ELSEWHERE))


def slip(draw, value):
    """Returns what a careless writer makes of a value: in quotes, in a list, too often, a little off."""
    slips = [str(value), [value], {"value": value}, [value] * 400]
    if type(value) is int:
        slips = [*slips, float(value), value + 1, value - 1, -value, value + 2**32]
    if isinstance(value, str):
        slips = [*slips, f"{value}\n", f"{value} ", f"/{value}", f"={value}", value[1:]]
    return slips[draw(st.integers(0, len(slips) - 1))]


def mutate(draw, config):
    """Does one thing to one place of a config."""
    found = places(config)
    path = found[draw(st.integers(0, len(found) - 1))]
    if not path:
        config[draw(st.sampled_from(WORDS))] = draw(OTHER)
        return
    place, last = at(config, path[:-1]), path[-1]
    value = place[last]
    match draw(st.integers(0, 3)):
        case 0:
            del place[last]
        case 1 if isinstance(value, dict):
            value[draw(st.sampled_from(WORDS))] = draw(OTHER)
        case 1 if isinstance(value, list):
            value.append(draw(OTHER))
        case 2:
            place[last] = slip(draw, value)
        case _:
            place[last] = draw(OTHER)


@st.composite
def mutated(draw):
    config = copy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        mutate(draw, config)
        config = copy(config)  # nothing in it twice
    return config


def agree(config):
    verdict = is_valid(config)
    assert verdict is CHECK.is_valid(config)
    if not verdict:
        with pytest.raises(ConfigError) as caught:
            explain(config)
        message = str(caught.value)
        assert message.strip()
        assert "\n" not in message
        assert len(message) < 2000
        assert caught.value.problem
    return verdict


@given(mutated())
@settings(max_examples=settings.default.max_examples // 2)
@example(change(FULL, "linux.namespaces[0].path", "\n"))
@example(change(FULL, "linux.resources.devices[0].access", "rw\n"))
@example(change(FULL, "linux.resources.hugepageLimits[0].pageSize", "2MB\n"))
@example(change(FULL, "process.rlimits[0].soft", True))
@example(change(FULL, "process.rlimits[0].soft", 1024.0))
@example(change(FULL, "process.user.uid", 10**400))
def test_verdicts_agree(config):
    agree(config)


@given(JSON)
@settings(max_examples=settings.default.max_examples // 2)
def test_verdicts_agree_on_anything(document):
    agree(document)


@pytest.mark.parametrize("path", PARTS)
def test_verdicts_agree_on_every_part(path):
    """Every part of the schema, compiled alone, with every awkward value: what chance might be long in finding."""
    part = {"$defs": CONFIG["$defs"], **PARTS[path]}
    compiled = {}
    exec(HEADER.format(source="x") + Compiler(part).module(), compiled)
    check = CHECK.evolve(schema=part)
    for edge in EDGES:
        assert compiled["is_valid"](edge) is check.is_valid(edge), edge


@pytest.mark.parametrize("seed", SEEDS, ids=["full", "least", "spec", "spec --rootless"])
def test_what_spec_writes_is_valid(seed):
    assert agree(seed) is True


def test_the_verdict_is_made_from_the_schema_of_this_checkout():
    """`make build` writes config/verdict.py; a stale one would judge by yesterday's schema."""
    from pyruntime.config import verdict

    with open(verdict.__file__, encoding="utf-8") as file:
        text = file.read()
    assert Compiler(CONFIG).module().split() == text[text.index("def _int32") :].split()


def test_a_value_too_deep_to_write_down_is_still_refused_in_words():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ConfigError, match="nested too deeply"):
        explain({**BASE, "hostname": value})
    while value:  # taken apart by hand: a recursive end of it would need as deep a stack
        value = value.pop()
