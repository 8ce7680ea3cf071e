"""Bundles with and without GPUs, and a host that has a driver as files (tests/fakes/driver.py)."""

import json
import platform
from pathlib import Path
from typing import Any

from runtimes import make_bundle, make_root

from tests.fakes.driver import FakeHost


class GpuBundles:
    """`pair` has the bundles "without" and "with", which differ in one variable; both are used with `settings`."""

    def __init__(self, work: Path, config: dict[str, Any]) -> None:
        host = work / "gpu-host"
        FakeHost(host).make()
        self.settings = work / "gpu-settings.toml"
        self.settings.write_text(f'[nvidia]\nenable = true\nhost_root = "{host}"\n')
        root = make_root(work / "gpu-rootfs")
        (root / f"usr/lib/{platform.machine()}-linux-gnu").mkdir(parents=True)
        self.pair = {}
        for what, devices in (("without", "void"), ("with", "all")):
            copy = json.loads(json.dumps(config))
            copy["process"]["env"].append(f"NVIDIA_VISIBLE_DEVICES={devices}")
            self.pair[what] = make_bundle(work, f"gpus-{what}", copy, root)
