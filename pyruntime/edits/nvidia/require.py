"""NVIDIA_REQUIRE_*: what an image needs of driver and GPU, held before the container is made.

    requirement = term *( " " term )              one term is enough
    term        = constraint *( "," constraint )  all of them have to hold
    constraint  = property operator value         cuda, driver, arch: numbers; brand: = and != only

Questions are asked in the order of the text and no further than needed: the first, cuda>=X.Y in images of today, is
answered by the version of the driver alone, and NVML is not loaded.
"""

from ...errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # property -> its value for one GPU, None if it does not matter
    Lookup = Callable[[str], str | None]

OPERATORS = (">=", "<=", "!=", "=", ">", "<")
PROPERTIES = ("cuda", "driver", "arch", "brand")
LONGEST = 1 << 16


def parse(text: str) -> list[list[tuple[str, str, str]]]:
    """Returns the terms, each a list of (property, operator, value).

    A constraint of an unknown property holds, as for NVIDIA's runtime; a term of nothing else is left out. Raises
    DriverError.
    """
    if len(text) > LONGEST:
        raise DriverError(f"a requirement of {len(text)} bytes")
    terms = []
    for word in text.split():
        constraints = [_constraint(part, text) for part in word.split(",") if part]
        known = [constraint for constraint in constraints if constraint[0] in PROPERTIES]
        if known:
            terms.append(known)
    return terms


def _constraint(text: str, whole: str) -> tuple[str, str, str]:
    for at, character in enumerate(text):
        if character in "<>=!":
            operator = next((each for each in OPERATORS if text.startswith(each, at)), "")
            name, value = text[:at], text[at + len(operator) :]
            if not operator or not name or not value:
                break
            if name in PROPERTIES and not _fits(name, operator, value):
                break
            return name, operator, value
    raise DriverError(f'the requirement "{whole[:80]}" cannot be understood: "{text[:80]}"')


def _fits(name: str, operator: str, value: str) -> bool:
    if name == "brand":
        return operator in ("=", "!=")
    parts = value.split(".")
    return all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)


def holds(constraint: tuple[str, str, str], value: str | None) -> bool:
    """Whether a constraint holds for the value of its property."""
    name, operator, wanted = constraint
    if value is None:
        return True
    if name == "brand":
        return (value.lower() == wanted.lower()) == (operator == "=")
    found, needed = _numbers(value), _numbers(wanted)
    length = max(len(found), len(needed))
    found += [0] * (length - len(found))
    needed += [0] * (length - len(needed))
    return {
        "=": found == needed,
        "!=": found != needed,
        ">": found > needed,
        ">=": found >= needed,
        "<": found < needed,
        "<=": found <= needed,
    }[operator]


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isascii() and part.isdigit() and len(part) < 10 else 0 for part in version.split(".")]


def check(requirements: list[tuple[str, str]], lookups: "list[Lookup]", disable: str) -> None:
    """Holds the requirements against each of the GPUs that a container gets; `lookups` has one for each.

    `disable` is the variable that turns this off, for the message. Raises DriverError.
    """
    for variable, text in requirements:
        terms = parse(text)
        for lookup in lookups:
            if terms and not any(all(holds(part, lookup(part[0])) for part in term) for term in terms):
                raise DriverError(_refusal(variable, text, terms[0], lookup, disable))


def _refusal(variable: str, text: str, term: list[tuple[str, str, str]], lookup: "Lookup", disable: str) -> str:
    """Returns the sentence about the first term, which in images of today is the one that matters."""
    name, operator, value = next(part for part in term if not holds(part, lookup(part[0])))
    driver = lookup("driver")
    found = lookup(name)
    has = {
        "cuda": f"this driver ({driver}) has CUDA {found}",
        "driver": f"this driver is {found}",
        "arch": f"this GPU has compute capability {found}",
        "brand": f"this GPU is of the brand {found}",
    }[name]
    advice = "update the driver or " if name in ("cuda", "driver") and operator in (">", ">=", "=") else ""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f"the image needs {name}{operator}{value}, {has} ({variable}={shown}): {advice}set {disable}=1"
