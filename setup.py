"""Builds init and what is generated from specs/, then packages as usual: see install/generate.py.

The wheel holds a program for one kind of machine, and no extension module: it is tagged with the platform only.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPackage(build_py):
    """Copies the package, then makes in the copy what a checkout does not hold."""

    def run(self) -> None:
        super().run()
        package = Path(self.build_lib) / "pyruntime"
        schemas = package / "config" / "schemas"
        schemas.mkdir(exist_ok=True)
        for schema in (ROOT / "specs").glob("*.schema.json"):
            shutil.copy(schema, schemas)
        for script in ("generate.py", "images.py"):
            subprocess.run([sys.executable, "-X", "no_debug_ranges", ROOT / "install" / script, package], check=True)


class PlatformDistribution(Distribution):
    """A distribution that is not the same on every machine."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3, but one platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    cmdclass={"build_py": BuildPackage, "bdist_wheel": PlatformWheel},
    distclass=PlatformDistribution,
)
