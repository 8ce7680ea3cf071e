"""Runs config_target.py under atheris: fuzz_config.py DECODER [libFuzzer's flags and corpus directories]."""

import sys

import atheris
from decoder import Decoder

with atheris.instrument_imports(include=["pyruntime"]):
    from config_target import check_config, mutate


def main():
    decoder = Decoder(sys.argv[1])
    atheris.Setup(
        [sys.argv[0], *sys.argv[2:]],
        lambda data: check_config(data, decoder),
        custom_mutator=lambda data, max_size, seed: mutate(data, atheris.Mutate, seed)[:max_size],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
