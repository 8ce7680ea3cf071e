"""pyruntime: an OCI low-level container runtime. See docs/tour.md for how it is put together."""

__version__ = "0.1.0"
SPEC_VERSION = "1.3.0"
