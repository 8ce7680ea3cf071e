"""Everything that pyruntime raises for a user to read.

    PyruntimeError                    a sentence, and the exit status 1
    ├── UsageError                    the command line is wrong
    ├── ConfigError                   config.json is wrong; carries where
    ├── DriverError                   the host has no GPU, driver or device file as asked for
    ├── CdiError                      a CDI file is wrong, or there is no such device in any
    ├── ContainerError                the container is not in a state for this command
    │   ├── NoSuchContainer           "container does not exist": clients look for these words
    │   └── ContainerExists
    └── OperationError                an op of the plan failed; carries the op's origin
        └── HookError                 a hook failed

Messages follow what Go programs print, since clients of runc match on it: lower case, no full stop, the operating
system's text at the end. Whoever raises says everything; only cli/main.py prints.
"""

from posix import strerror

TYPE_CHECKING = False


class PyruntimeError(Exception):
    """A failure with a sentence for the user."""


class UsageError(PyruntimeError):
    """The command line cannot be understood."""


class ConfigError(PyruntimeError):
    """The config cannot be used.

    `origin` is where, in the notation of messages ("mounts[3].type", "" for the whole document), `problem` what is
    wrong there and what would be right.
    """

    def __init__(self, origin: str, problem: str) -> None:
        super().__init__(f"{origin}: {problem}" if origin else problem)
        self.origin = origin
        self.problem = problem


class DriverError(PyruntimeError):
    """The host does not have the GPU, the driver or the device that was asked for. The text says what would help."""


class CdiError(PyruntimeError):
    """A file of the Container Device Interface cannot be used, or no file describes a device that was asked for."""


class ContainerError(PyruntimeError):
    """The container exists but cannot do this now."""


class NoSuchContainer(ContainerError):
    """No container of that id."""

    def __init__(self) -> None:
        super().__init__("container does not exist")


class ContainerExists(ContainerError):
    """The id is taken."""

    def __init__(self) -> None:
        super().__init__("container with given ID already exists")


class OperationError(PyruntimeError):
    """An op could not be carried out. `origin` is the part of the config it comes from, "" if none."""

    def __init__(self, message: str, origin: str = "") -> None:
        super().__init__(message)
        self.origin = origin


class HookError(OperationError):
    """A hook failed, timed out or could not be run."""


def error_text(number: int) -> str:
    """Returns the text of an errno as Go prints it: libc's, but lower case."""
    text = strerror(number)
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def os_error(error: OSError) -> str:
    """Returns "operation path: text" for an OSError that carries a path, else its text alone."""
    text = error_text(error.errno) if error.errno is not None else str(error)
    return f"{os_path(error.filename)}: {text}" if error.filename is not None else text


def os_path(path: object) -> str:
    """Returns a file name as text, whatever the OSError holds."""
    return path.decode("utf-8", "backslashreplace") if isinstance(path, bytes) else str(path)
