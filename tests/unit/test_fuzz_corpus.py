"""What fuzzing starts from, and all that it ever found, goes through the code at every run: tests/fuzz/README.md."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
sys.path.insert(0, str(FUZZ))

import record  # noqa: E402 (found through the path above)
from config_target import check_config  # noqa: E402
from decoder import AS_IT_LIKES, Decoder, build  # noqa: E402


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    build(folder)
    return folder


@pytest.mark.parametrize("target", ["plan", "passwd"])
def test_corpus_of_a_target_in_c(programs, target):
    """Under the address and the undefined behaviour sanitizer, which end the program."""
    files = sorted((FUZZ / "corpus" / target).iterdir())
    done = subprocess.run([*AS_IT_LIKES, programs / target, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]}: {done.stderr}"
    assert done.stdout.split() == [str(path) for path in files]


@pytest.mark.parametrize("path", sorted((FUZZ / "corpus/config").iterdir()), ids=lambda path: path.name)
def test_corpus_of_configs(path):
    check_config(path.read_bytes())


@pytest.mark.parametrize("kind", record.SEEDS)
def test_seeds_are_those_of_today(kind):
    """A corpus of plans that init no longer accepts would be a start from nothing."""
    seeds = record.SEEDS[kind]()
    recorded = {path.name: path.read_bytes() for path in (FUZZ / "corpus" / kind).iterdir() if path.name in seeds}
    assert recorded == seeds, "if this is meant: make golden"


def test_seeds_are_accepted(programs):
    decoder = Decoder(programs / "decode")
    for name, plan in record.plan_seeds().items():
        assert "refused" not in decoder.decode(plan), name
    decoder.close()


def test_a_sanitizer_ends_the_program(programs, tmp_path):
    """The tests above could not fail if what a sanitizer says went unheard."""
    (tmp_path / "wrong.c").write_text(
        "#include <stdint.h>\n#include <stdlib.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return data[size]; }\n"
    )
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["cc", *flags, tmp_path / "wrong.c", FUZZ / "replay.c", "-o", tmp_path / "wrong"], check=True)
    done = subprocess.run(
        [*AS_IT_LIKES, tmp_path / "wrong", tmp_path / "wrong.c"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
