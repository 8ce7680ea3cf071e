"""What all tests share: where the built runtime is, and how often hypothesis tries."""

import os
import signal
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# whoever starts the tests in the background of a script may ignore it, and every process that they start would too
signal.signal(signal.SIGINT, signal.default_int_handler)
