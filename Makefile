# One door: each target does its own setup, and a second call is quick.
#   make run      caption this room, on a page (the built-in scene where there is no microphone)
#   make test     every check and test        make lint   the checks alone
#   make test-slow  what takes minutes and `make test` leaves out: before a release
#   make bench    figures of this machine     make model  train and export the shipped model
#   make bench-gpu  all that a CUDA machine can tell, into docs/gpu.md (TORCH names a CUDA build)
#   make soak     hours of sound in minutes: does memory stay put?
#   make install-service   caption from boot on, by systemd

PYTHON ?= python3
# pip's own configuration decides where torch comes from; TORCH may name another build or index.
TORCH ?= torch==2.13.0
HOURS ?= 10
MADE ?= runs/room-small
# What the shipped model is made from, and the public tagger that teaches it (optional).
CORPUS ?= ../shared/data
CAPTIONS ?= $(CORPUS)/captions
TEACHER ?= ../shared/weights/efficientat-mn04

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
EDGECAP := $(BIN)/edgecap

# PyAudio has no Linux wheel: it is compiled against PortAudio and Python's headers.
MIC_PACKAGES := gcc portaudio19-dev libasound2-plugins
# The tests play clips into a microphone that PulseAudio makes up, look at the page in Chromium, let systemd
# check the units, and watch what commands ask of the system.
TEST_PACKAGES := chromium pulseaudio pulseaudio-utils alsa-utils sox strace systemd

# ONNX Runtime reports to its maker where this is not set before it is imported.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: setup setup-dev run test test-slow lint bench bench-gpu model soak install-service

setup: $(VENV)/.base

setup-dev: $(VENV)/.dev

run: setup
	@if $(EDGECAP) devices >/dev/null 2>&1; then exec $(EDGECAP) up; \
	else echo "No microphone here: this is the built-in scene. \`edgecap doctor\` says what is missing." >&2; \
	exec $(EDGECAP) up --scene; fi

test: lint
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: setup-dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(PIP) install -q -e '.[bench]'
	$(EDGECAP) bench

bench-gpu: setup-dev
	$(BIN)/python benchmarks/gpu.py

model: setup-dev
	@echo "About nine hours on two CPU cores; every stage says what is left of it, and resumes."
	$(if $(wildcard $(CAPTIONS)),$(EDGECAP) prepare --corpus $(CORPUS) --captions $(CAPTIONS) -o $(MADE)/scenes)
	$(EDGECAP) train training/recipes/room-small.yaml -o $(MADE) --corpus $(CORPUS) \
	  $(if $(wildcard $(CAPTIONS)),--scenes $(MADE)/scenes) \
	  $(if $(wildcard $(TEACHER)),--teacher $(TEACHER))
	$(EDGECAP) export $(MADE)/model --target onnx-int8 --no-verify -o $(MADE)/draft
	$(EDGECAP) evaluate $(MADE)/draft --corpus $(CORPUS) --split val --calibrate $(MADE)/model
	mkdir -p runtime/bundles
	$(EDGECAP) export $(MADE)/model --target onnx-int8 -o runtime/bundles/room-small

soak: setup
	$(BIN)/python benchmarks/soak.py --hours $(HOURS)

install-service: setup
	systemd/install.sh

# --- setup, remembered by stamp files -------------------------------------------------------------

# Installs what is missing where it may (Debian, root); elsewhere says what to ask for, and goes on.
define system_packages
	@missing=""; \
	if command -v dpkg-query >/dev/null; then \
	  for package in $(1); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	  done; \
	fi; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import sysconfig, os; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
	  || missing="$$missing python3-dev"; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else echo "Not everything is installed here:$$missing. Where apt is: sudo apt install$$missing" >&2; fi
endef

$(VENV)/.base: pyproject.toml
	@command -v $(PYTHON) >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgecap needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(call system_packages,$(MIC_PACKAGES))
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -e '.[mic,serve]' || \
	  { $(PIP) install -q -e '.[serve]' && \
	    echo "PyAudio could not be built, so no microphone yet; needed: $(MIC_PACKAGES) python3-dev" >&2; }
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(call system_packages,$(TEST_PACKAGES))
	$(PIP) install -q $(TORCH)  # first: else a dependency chooses the build
	$(PIP) install -q -e '.[dev]'
	@touch $@
