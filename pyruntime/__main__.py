"""`python -m pyruntime`, for development: the installed launcher starts faster and isolated (-I -S)."""

from .cli.main import entry

if __name__ == "__main__":
    entry()
