"""`events`."""

import time

from .. import state
from ..config.dump import dumps
from ..errors import ContainerError, PyruntimeError
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Json
    from ..state import State
    from .flags import Values
    from .main import Context

ARGUMENTS = "ID"
DESCRIPTION = """
Prints what a container uses, every five seconds, and whenever it ran out of
memory, as JSON on one line; ends when the container is deleted.
"""
FLAGS = (
    Flag("interval", "5s", "time between the figures: 500ms, 5s, 1m30s"),
    Flag("stats", False, "print the figures once"),
)
NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Prints the figures of a container."""
    arguments("events", rest, 1, 1)
    interval = duration(str(values["interval"]))
    if interval <= 0:
        raise PyruntimeError("duration interval must be greater than 0")
    container = state.find(context.root(), rest[0])
    try:
        stored, status = container.look()
    finally:
        container.close()
    if status in ("stopped", "creating"):
        raise ContainerError(f"container with id {rest[0]} is not running")
    if values["stats"]:
        _print_figures(stored)
        return 0
    _follow(stored, interval)
    return 0


def _follow(stored: "State", interval: float) -> None:
    from ..run.oom import Watch

    watch = Watch(stored)
    try:
        due = time.monotonic() + interval
        while not watch.is_over():
            if watch.wait(max(0, round((due - time.monotonic()) * 1000))):
                _print("oom", stored["id"], None)
            if time.monotonic() >= due:
                due += interval
                _print_figures(stored)
    finally:
        watch.close()


def _print_figures(stored: "State") -> None:
    from ..run.stats import statistics

    _print("stats", stored["id"], statistics(stored))


def _print(kind: str, container_id: str, data: "Json") -> None:
    event: dict[str, Json] = {"type": kind, "id": container_id}
    if data is not None:
        event["data"] = data
    print(dumps(event), flush=True)


def duration(text: str) -> float:
    """Returns the seconds of a duration as Go writes it, 1m30s. Raises PyruntimeError."""
    total, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        rest = rest[len(unit) :]
        if unit not in NANOSECONDS or number.count(".") > 1 or not number.strip("."):
            raise PyruntimeError(f'invalid value "{text}" for flag -interval: not a duration, such as 5s')
        total += float(number) * NANOSECONDS[unit] / 10**9
    return total
