"""linux.netDevices, and the loopback device that every new network namespace comes with."""

from ..errors import ConfigError
from .namespaces import Isolation
from .ops import BARRIER_OFFER, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.model import Config


def network(plan: Plan, config: "Config", isolation: Isolation) -> None:
    """Adds the ops that set up the loopback device, and move devices of the host into the container."""
    if "network" in isolation.new:
        # not where a namespace is joined: that one is somebody else's, who has set it up as it shall be
        plan.init("loopback", isolation.origins["network"])
    devices = config.get("linux", {}).get("netDevices", {})
    if not devices:
        return
    if "network" not in isolation.kinds:
        raise ConfigError("linux.netDevices", "unable to move network devices without a private NET namespace")
    plan.init("netlink", "linux.netDevices")
    for name, device in devices.items():
        plan.host("move-device", f'linux.netDevices["{name}"]', name, device.get("name") or name)
    plan.host("pass-barrier", "linux.netDevices", BARRIER_OFFER)
