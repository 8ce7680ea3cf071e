"""The decoder of plans as a program that answers: init/plan.c under sanitizers, from tests/fuzz/decode.c."""

import json
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
# where the kernel chooses addresses too freely (vm.mmap_rnd_bits above 28) some versions of AddressSanitizer do not
# find room for what they keep, and fail for ever
AS_IT_LIKES = ("setarch", "--addr-no-randomize")


def build(folder, kind="check", compiler=None):
    """Builds what build.sh builds of one kind into a folder; raises CalledProcessError with what the compiler said."""
    environment = {"PATH": "/usr/bin:/bin"} | ({"CC": compiler} if compiler else {})
    subprocess.run([HERE / "build.sh", kind, folder], check=True, env=environment)


class Decoder:
    """A decoder that runs; decode() asks it."""

    def __init__(self, program):
        self.process = subprocess.Popen([*AS_IT_LIKES, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def decode(self, plan):
        """Returns what init reads in the bytes of a plan: a dict as decode.c writes it, with "refused" if nothing."""
        self.process.stdin.write(struct.pack("<I", len(plan)) + plan)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the decoder has ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.communicate()
