"""Hooks that are programs of their own, for containers of any runtime."""
