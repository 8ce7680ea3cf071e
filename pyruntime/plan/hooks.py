"""hooks: four of the six kinds are part of a create; poststart and poststop belong to `start` and `delete`."""

from ..config.dump import hook_state
from .facts import Request
from .ops import BARRIER_HOOKS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config, Hook

PID_MARK = '"pid":'


def before_pivot(plan: Plan, config: "Config", request: Request) -> None:
    """Adds prestart and createRuntime, which run on the host, and createContainer, which runs in the container's
    namespaces; both before the root is changed, and so both with programs of the host."""
    hooks = config["hooks"]
    on_host = [(kind, len(hooks.get(kind, ()))) for kind in ("prestart", "createRuntime")]  # type: ignore[arg-type]
    if not any(count for _, count in on_host) and not hooks.get("createContainer"):
        return
    plan.host("write-state", "hooks", "creating")
    plan.init("barrier", "hooks", BARRIER_HOOKS)
    for kind, count in on_host:
        for index in range(count):
            plan.host("run-hook", f"hooks.{kind}[{index}]", kind, index)
    plan.host("pass-barrier", "hooks", BARRIER_HOOKS)
    _in_init(plan, "createContainer", config, request, "created")


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
