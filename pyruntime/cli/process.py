"""The process that the flags of `exec` describe: that of the bundle's config.json, with changes."""

from ..errors import PyruntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Process
    from ..state import Container
    from .flags import Values

# with these a capability is to be had at once; it is ambient too where the config has inheritable ones
SETS = ("bounding", "effective", "permitted")


def process_of_flags(container: "Container", values: "Values", words: "Sequence[str]") -> "Process":
    """Returns the process, checked. Raises PyruntimeError."""
    from ..run.exec import check_process

    process = _of_bundle(container.load()["bundle"])
    # `--` ends the flags, wherever it stands
    process["args"] = list(words[1:] if words[0] == "--" else words)
    if not process["args"]:
        raise PyruntimeError("exec args cannot be empty")
    process["terminal"] = bool(values["tty"])
    if values["cwd"]:
        process["cwd"] = str(values["cwd"])
    process["env"] = [*process.get("env", ()), *values["env"]]  # type: ignore[misc]
    if values["apparmor"]:
        process["apparmorProfile"] = str(values["apparmor"])
    if values["process-label"]:
        process["selinuxLabel"] = str(values["process-label"])
    if values["no-new-privs"]:
        process["noNewPrivileges"] = True
    _user(process, str(values["user"]), values["additional-gids"])  # type: ignore[arg-type]
    _capabilities(process, values["cap"])  # type: ignore[arg-type]
    check_process(process)
    return process


def _of_bundle(bundle: str) -> "Process":
    """Returns the process of the config as it is in the bundle now, which is where people change it."""
    import posix

    from ..errors import error_text
    from ..run.create import Bundle

    try:
        posix.stat(bundle)
    except OSError as error:
        raise PyruntimeError(f"chdir {bundle}: {error_text(error.errno or 0)}") from None
    config = Bundle(bundle).config
    if "process" not in config:
        raise PyruntimeError("process property must not be empty")
    return config["process"]


def _user(process: "Process", user: str, groups: "Sequence[str]") -> None:
    ids = process.setdefault("user", {})
    uid, colon, gid = user.partition(":")
    if user:
        ids["uid"] = _id("uid", uid)
    if colon:
        ids["gid"] = _id("gid", gid)
    if groups:
        ids["additionalGids"] = [*ids.get("additionalGids", ()), *(_id("additional gid", group) for group in groups)]


def _id(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise PyruntimeError(f'bad {name}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _capabilities(process: "Process", names: "Sequence[str]") -> None:
    if not names:
        return
    capabilities = process.setdefault("capabilities", {})
    sets = (*SETS, "ambient") if capabilities.get("inheritable") else SETS
    for name in sets:
        known: Sequence[str] = capabilities.get(name, ())  # type: ignore[assignment]
        capabilities[name] = [*known, *(new for new in names if new not in known)]  # type: ignore[literal-required]
