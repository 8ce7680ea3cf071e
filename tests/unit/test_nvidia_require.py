"""require.py: the grammar of NVIDIA_REQUIRE_*, and what is asked of a host to hold it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.edits.nvidia import require
from pyruntime.errors import DriverError

HOST = {"cuda": "13.0", "driver": "580.159.04", "arch": "9.0", "brand": "Nvidia"}
# of an image of today, cut
REAL = (
    "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 "
    "brand=nvidia,driver>=470,driver<471 brand=nvidiartx,driver>=525,driver<526"
)


def check(*texts, host=HOST, gpus=1):
    asked = []

    def lookup(name):
        asked.append(name)
        return host[name]

    require.check([(f"NVIDIA_REQUIRE_{number}", text) for number, text in enumerate(texts)], [lookup] * gpus, "OFF")
    return asked


@pytest.mark.parametrize(
    "text",
    [
        REAL,
        "cuda>=13.0",
        "cuda>=13",
        "cuda=13",
        "cuda<=13.0.0",
        "cuda!=12.9",
        "cuda>12.10",
        "driver>=580.159.4",
        "driver<581",
        "arch>=7.0,arch<10",
        "brand=NVIDIA",
        "brand!=geforce",
        "cuda>=99 brand=nvidia",
        "unknown>=1",
        "unknown=x,cuda>=12",
        "",
    ],
)
def test_what_holds(text):
    check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuda>=13.2", r"the image needs cuda>=13.2, this driver \(580.159.04\) has CUDA 13.0 .*update the driver"),
        ("driver<580", "the image needs driver<580, this driver is 580.159.04"),
        ("arch>=10", "this GPU has compute capability 9.0"),
        ("brand=tesla", "this GPU is of the brand Nvidia"),
        ("cuda>=12,arch>=10", "the image needs arch>=10"),
        ("unknown>=1,cuda>=14", "the image needs cuda>=14"),
    ],
)
def test_what_does_not(text, message):
    with pytest.raises(DriverError, match=message) as caught:
        check(text)
    assert str(caught.value).endswith("set OFF=1")


def test_all_requirements_have_to_hold():
    with pytest.raises(DriverError, match="NVIDIA_REQUIRE_1=cuda>=14"):
        check("cuda>=12", "cuda>=14")


def test_nothing_is_asked_that_need_not_be():
    """Brand and architecture would cost the loading of NVML."""
    assert check(REAL) == ["cuda"]
    assert check(REAL, gpus=2) == ["cuda", "cuda"]
    assert check("brand=nvidia cuda>=12") == ["brand"]


@pytest.mark.parametrize(
    "text", ["cuda", "cuda>=", ">=12", "cuda>=a", "cuda!12", "brand>x", "cuda>=1..2", "cuda>=" + "1" * 10]
)
def test_what_cannot_be_understood(text):
    with pytest.raises(DriverError, match="cannot be understood"):
        check(text)


NUMBERS = st.lists(st.integers(0, 999), min_size=1, max_size=3)


@given(NUMBERS, NUMBERS)
def test_numbers_are_compared_one_by_one(left, right):
    length = max(len(left), len(right))
    padded = [part + [0] * (length - len(part)) for part in (left, right)]
    texts = [".".join(map(str, part)) for part in (left, right)]
    for operator, expected in (
        (">=", padded[0] >= padded[1]),
        ("<", padded[0] < padded[1]),
        ("=", padded[0] == padded[1]),
    ):
        assert require.holds(("cuda", operator, texts[1]), texts[0]) == expected


@given(st.text("cudariverbn<>=!, .0123456789", max_size=40))
def test_any_text(text):
    try:
        check(text)
    except DriverError as error:
        assert "requirement" in str(error) or "image needs" in str(error)
