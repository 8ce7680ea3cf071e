PYTHON ?= /usr/bin/python3
VENV := .venv
SITE = $(shell $(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

build:
	$(VENV)/bin/python install/generate.py
	$(VENV)/bin/python install/install.py --prefix $(CURDIR)/build/root --site $(SITE)
.PHONY: build
