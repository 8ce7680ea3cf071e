"""`plan`."""

from ..plan.facts import Request
from .create import DEVICE, give_devices
from .flags import Flag, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flags import Values
    from .main import Context

ARGUMENTS = "[BUNDLE]"
DESCRIPTION = """
Shows what `create` would do with a bundle on this host, op by op: on the left
what is done on the host, on the right what the container's init does, and the
part of config.json that asks for it. Nothing is done, and no rights are needed.
"""
FLAGS = (
    Flag("bundle", "", "directory of the bundle (default: the current directory)", "b"),
    Flag("id", "ID", "the id that the container would have"),
    Flag("json", False, "print JSON"),
    Flag("no-pivot", False, "as for create"),
    Flag("no-new-keyring", False, "as for create"),
    DEVICE,
)


def run(context: "Context", values: "Values", rest: list[str]) -> int:
    """Prints the plan for a bundle."""
    from ..errors import ConfigError
    from ..plan import text
    from ..run.create import Bundle, enter_bundle

    arguments("plan", rest, 0, 1)
    path = enter_bundle(rest[0] if rest else str(values["bundle"]))
    bundle = Bundle(path)
    request = Request(
        container_id=str(values["id"]),
        bundle=path,
        console=True,
        pivot=not values["no-pivot"],
        keyring=not values["no-new-keyring"],
    )
    give_devices(context, values, bundle, request)
    try:
        plan, _ = bundle.plan(request)
    except ConfigError as error:
        raise bundle.point_out(error) from None
    if values["json"]:
        from ..config.dump import pretty

        print(pretty({"ops": list(text.to_json(plan)), "warnings": [*bundle.warnings, *plan.warnings]}))
        return 0
    print(text.render(plan), end="")
    for warning in (*bundle.warnings, *plan.warnings):
        context.log().warning(warning)
    return 0
