"""Help texts, made from the flags that the commands declare."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from .flags import Flag

COMMANDS = {
    "cdi": "generate or list files of the Container Device Interface",
    "configure": "add this runtime to the configuration of docker, containerd, podman or crio",
    "create": "create a container",
    "delete": "delete what a container holds",
    "events": "show a container's statistics, and that it ran out of memory",
    "exec": "run one more program in a container",
    "features": "show what this runtime can do",
    "gpu": "show the GPUs of this host, and what a container would get",
    "kill": "send a signal to a container",
    "list": "list containers",
    "pause": "freeze the processes of a container",
    "plan": "show what create would do, without doing it",
    "ps": "list the processes of a container",
    "resume": "let the processes of a paused container go on",
    "run": "create and start a container",
    "spec": "write a config.json to begin with",
    "start": "run the program of a created container",
    "state": "show the state of a container",
    "update": "change the limits of a container",
}

OVERVIEW = """NAME:
   pyruntime - an OCI container runtime that shows what it is about to do

   Containers are configured by bundles: a directory with a config.json and a
   root file system. To run one:

       # pyruntime run [ -b BUNDLE ] ID

USAGE:
   pyruntime [global options] COMMAND [options] [arguments]
"""


def _options(flags: "Sequence[Flag]") -> str:
    heads = []
    for flag in flags:
        value = "" if type(flag.default) is bool else " value"
        short = f", -{flag.short}{value}" if flag.short else ""
        heads.append(f"--{flag.name}{value}{short}")
    width = max(map(len, heads), default=0) + 2
    lines = []
    for head, flag in zip(heads, flags, strict=True):
        default = f" (default: {flag.default})" if flag.default and flag.default is not True else ""
        lines.append(f"   {head:{width}}{flag.help}{default}")
    return "\n".join(lines)


def overview() -> str:
    """Returns the help of the program."""
    from .main import GLOBAL_FLAGS

    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"   {name:{width}}{text}" for name, text in COMMANDS.items())
    return f"{OVERVIEW}\nCOMMANDS:\n{commands}\n\nGLOBAL OPTIONS:\n{_options(GLOBAL_FLAGS)}"


def usage(name: str, module: "ModuleType") -> str:
    """Returns the help of one command."""
    options = f"\n\nOPTIONS:\n{_options(module.FLAGS)}" if module.FLAGS else ""
    return (
        f"NAME:\n   pyruntime {name} - {COMMANDS[name]}\n\n"
        f"USAGE:\n   pyruntime {name} [options] {module.ARGUMENTS}\n\n"
        f"DESCRIPTION:\n   {module.DESCRIPTION.strip()}{options}"
    )
