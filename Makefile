# make demo     runs a container and shows its plan
# make test     runs the tests
# make check    all of it: linters, compiler warnings, tests
# make test-vm  runs those that need cgroup v2 in a VM
# make test-gpu runs those that need an NVIDIA GPU
#
# Each target sees to what it needs: packages of the distribution (as root, where there is apt) and Python's, in .venv.

PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60

VENV := .venv
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_FUZZ := $(VENV)/.ready-fuzz
BIN := $(VENV)/bin
RUNTIME := $(CURDIR)/build/root/sbin/pyruntime
SITE = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
REQUIREMENTS = $(BIN)/python install/requirements.py

.PHONY: demo test check lint build install fuzz golden budget test-vm test-gpu bench figures conformance clean

demo: build
	install/setup.sh demo
	install/demo.sh $(RUNTIME) $(CURDIR)/build/demo

test: build $(READY_DEV)
	install/setup.sh test
	$(BIN)/python -m pytest

check: lint test

lint: build $(READY_DEV)
	install/setup.sh check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	CC=clang init/build.sh /dev/null 0
	shellcheck .ci/run init/*.sh install/*.sh tests/vm/vmrun tests/vm/*.sh

# records anew which modules each command imports; the difference is for you to judge
budget: build $(READY_DEV)
	$(BIN)/python tests/budget/record.py

# what runs when `build/root/sbin/pyruntime` does: this checkout, installed below build/
build: $(READY)
	$(BIN)/python install/generate.py
	$(BIN)/python install/install.py --prefix $(CURDIR)/build/root --site $(SITE)

$(READY): pyproject.toml install/requirements.py
	install/setup.sh build
	$(PYTHON) -m venv $(VENV)
	$(REQUIREMENTS) dependencies > $(VENV)/requirements.txt
	$(BIN)/python -m pip install -q -r $(VENV)/requirements.txt
	touch $@

$(READY_DEV): $(READY)
	$(REQUIREMENTS) dev > $(VENV)/requirements-dev.txt
	$(BIN)/python -m pip install -q -r $(VENV)/requirements-dev.txt
	touch $@

$(READY_FUZZ): $(READY_DEV)
	$(REQUIREMENTS) fuzz > $(VENV)/requirements-fuzz.txt
	$(BIN)/python -m pip install -q -r $(VENV)/requirements-fuzz.txt
	touch $@

# the launcher is a root-owned file that names its interpreter and libraries by absolute paths; NVIDIA_NAME=1 installs
# the name that dockerd looks for when it is asked for GPUs too
install: build
	$(REQUIREMENTS) dependencies > build/requirements.txt
	rm -rf $(DESTDIR)$(PREFIX)/lib/pyruntime
	$(BIN)/python -m pip install -q -r build/requirements.txt --target $(DESTDIR)$(PREFIX)/lib/pyruntime/libraries
	$(BIN)/python install/install.py --prefix $(PREFIX) --destdir '$(DESTDIR)/' --site $(PREFIX)/lib/pyruntime/libraries \
	    $(if $(NVIDIA_NAME),--nvidia-name)

# what needs cgroup v2 alone, with all controllers, in a VM that has it (tests/vm/README.md): one boot, one run of pytest.
# Left out of the others is what takes long and is the same there.
VM_TESTS ?= tests/vm $(addprefix tests/integration/test_, cgroups_v2.py lifecycle.py process.py namespaces.py mounts.py) \
    --deselect tests/integration/test_mounts.py::test_copy_up_of_a_bottomless_directory
test-vm: build $(READY_DEV)
	install/setup.sh test
	tests/vm/vmrun --setup
	mkdir -p build/vm
	tests/vm/vmrun --timeout 900 --rw build/vm -- $(BIN)/python -m pytest -p no:cacheprovider \
	    -o faulthandler_timeout=120 --junitxml=build/vm/junit.xml $(VM_TESTS)

# on a machine with an NVIDIA GPU; containers are made from its own files, with no network
test-gpu: build
	$(PYTHON) tests/gpu/matrix.py $(RUNTIME)

# beside runc and crun, in one run; `make figures` also writes docs/performance.md anew
bench: build $(READY_DEV)
	install/setup.sh bench
	$(BIN)/python conformance/bench $(BENCH)

figures: BENCH = --svg docs/performance.svg --record docs/performance.md
figures: bench

# our tests of the specification on pyruntime, runc and crun, as far as they are installed, and docs/conformance.md anew;
# OFFICIAL=FOLDER adds the official suite, which has to be built there
RUNTIMES ?= $(RUNTIME) $(wildcard /usr/sbin/runc /usr/bin/crun)
conformance: build $(READY_DEV)
	install/setup.sh test
	mkdir -p build/conformance
	rm -f build/conformance/*.json
	for path in $(RUNTIMES); do \
	    record=build/conformance/$$(basename $$path); \
	    if [ -n "$(OFFICIAL)" ]; then \
	        $(BIN)/python conformance/official $(OFFICIAL) --runtime $$path --json > $$record.official.json; \
	    fi; \
	    $(BIN)/python conformance/run --runtime $$path --record $$record.json; \
	    [ -s $$record.json ] || exit 1; \
	done
	$(BIN)/python conformance/table.py build/conformance

# init's decoder and the way of a config to a plan, on what chance makes of real ones; tests/fuzz/README.md
fuzz: build $(READY_FUZZ)
	install/setup.sh fuzz
	$(BIN)/python tests/fuzz/run.py $(FUZZ_SECONDS)

# plans that are meant to have changed
golden: build $(READY_DEV)
	$(BIN)/python tests/golden/record.py
	$(BIN)/python tests/fuzz/record.py

clean:
	rm -rf build $(VENV) pyruntime/_init pyruntime/_build.py pyruntime/config/verdict.py pyruntime/run/_libseccomp.py \
	    pyruntime/edits/nvidia/_nvml.py pyruntime/hooks/_libc.py
