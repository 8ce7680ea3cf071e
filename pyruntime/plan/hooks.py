"""hooks: four of the six kinds are part of a create; poststart and poststop belong to `start` and `delete`."""

from ..config.dump import hook_state
from .facts import Request
from .ops import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Hook

PID_MARK = '"pid":'


def before_pivot(config: "Config") -> bool:
    """Whether the two lanes have to meet before the root is changed."""
    hooks = config.get("hooks", {})
    return bool(hooks.get("prestart") or hooks.get("createRuntime") or hooks.get("createContainer"))


def create_runtime(plan: Plan, config: "Config") -> None:
    """prestart, then createRuntime: in the runtime's namespaces."""
    for kind in ("prestart", "createRuntime"):
        for index in range(len(config.get("hooks", {}).get(kind, ()))):  # type: ignore[arg-type]
            plan.host("run-hook", f"hooks.{kind}[{index}]", kind, index)


def create_container(plan: Plan, config: "Config", request: Request) -> None:
    """createContainer: in the container's namespaces, with programs of the host."""
    _in_init(plan, "createContainer", config, request, "creating")


def start_container(plan: Plan, config: "Config", request: Request) -> None:
    """startContainer: in the container, once `start` has come."""
    _in_init(plan, "startContainer", config, request, "created")


def _in_init(plan: Plan, kind: str, config: "Config", request: Request, status: str) -> None:
    hooks: list[Hook] = config.get("hooks", {}).get(kind, [])  # type: ignore[assignment]
    if not hooks:
        return
    # the pid is the one seen inside, which only init knows: it puts it between the two halves
    state = hook_state(config, request.container_id, request.bundle, status, 0)
    before, _, after = state.partition(PID_MARK + "0")
    for index, hook in enumerate(hooks):
        plan.init(
            "hook",
            f"hooks.{kind}[{index}]",
            hook["path"],
            hook.get("args") or [hook["path"]],
            hook.get("env", []),
            before + PID_MARK,
            after,
            hook.get("timeout", 0) * 1000,
        )
