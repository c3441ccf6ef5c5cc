# make run and make test install everything that they need; only Python 3.11 or newer must be
# installed beforehand.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(if $(LEAN),requirements-lean.txt,requirements.txt)
# Python compiles what it imports; compiling all packages of the lean list would take another 70 MB.
PIP_FLAGS_requirements-lean.txt := --no-compile
OTHER_OPENCV = opencv-python$(if $(filter requirements-lean.txt,$*),,-headless)
DEMO_FLAG := $(if $(filter 0,$(DEMO)),,--demo)

.PHONY: help setup run doctor web test test-fast test-long check bench docs docs-serve pictures lock clean

run: setup $(if $(DEMO_FLAG),$(VENV)/speed.json)  ## start the server; ARGS="--port 9000", DEMO=0, LEAN=1
	@$(if $(DEMO_FLAG),$(BIN)/python -m app.doctor --demo-from $(VENV)/speed.json)
	@$(BIN)/python run.py $(DEMO_FLAG) $(ARGS)

# With whatever is installed: it must not bring torch to a lean set-up.
doctor: $(or $(wildcard $(VENV)/.requirements*.installed),setup)  ## check this machine, and how many cameras it can process; ARGS=--json
	@$(BIN)/python -m app.doctor $(ARGS)

# Measured once, for a warning if the demo will not be fluent; `make doctor` measures again.
$(VENV)/speed.json: $(VENV)/.$(LOCK).installed
	@echo "Measuring this machine: 10 seconds, once."
	@$(BIN)/python -m app.doctor --json > $@ || true

setup: $(VENV)/.$(LOCK).installed

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

# The built files are in the repository: only who changes web/ needs Node.js.
web: | web/node_modules  ## build the control room, static/app/, from web/
	@npm --prefix web run --silent build

web/node_modules:
	npm --prefix web ci --no-audit --no-fund

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip uninstall -qq --yes setuptools  # Python 3.11 adds it, 10 MB for nothing

# OpenCV with windows and without own the same folder, cv2: both go before a list brings the other
# one. What was installed before is then checked again when it is next asked for.
$(VENV)/.%.installed: % | $(BIN)/python
	@if grep -q ^opencv $< && $(BIN)/python -m pip show -qq $(OTHER_OPENCV); then \
	  rm -f $(VENV)/.requirements*.installed; \
	  $(BIN)/python -m pip uninstall -qq --yes opencv-python opencv-python-headless; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS_$*) -r $<
	$(BIN)/python -m compileall -q app run.py main.py
	@touch $@

# Test files run in parallel processes, slow ones first: four for two cores, since tests mostly wait.
# A few need the CPU for themselves. Exit status 5: ARGS selected no test of that half.
WORKERS ?= 4
PYTEST = $(BIN)/python -m pytest
BESIDE = $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Thousands of tests wait for real servers, cameras and browsers: on a busy machine one's clock may run
# out. What failed runs once more by itself; the first that fails again ends it.
again = case $$? in 5) ;; \
  1) echo "What failed runs once more, by itself."; \
     $(PYTEST) --last-failed --last-failed-no-failures=none --exitfirst -m $(1) $(ARGS);; \
  *) exit 1;; esac

test: setup $(VENV)/.requirements-dev.txt.installed $(VENV)/.requirements-cluster.txt.installed  ## all tests; ARGS="-k auth", WORKERS=0
	@sh tests/install_tools.sh
	$(BESIDE) -m "not alone" $(ARGS) || $(call again,"not alone")
	$(PYTEST) -m alone $(ARGS) || $(call again,alone)

test-fast: setup $(VENV)/.requirements-dev.txt.installed  ## without the slow tests: for every commit
	$(BESIDE) -m "not long" $(ARGS)

test-long: export WATCHPOST_MEMORY_MINUTES ?= 30
test-long: setup $(VENV)/.requirements-dev.txt.installed $(VENV)/.requirements-cluster.txt.installed  ## only the slow tests: servers, browsers, networks
	@sh tests/install_tools.sh
	$(BESIDE) -m "long and not alone" $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) -m alone $(ARGS) || [ $$? -eq 5 ]

check: setup $(VENV)/.requirements-dev.txt.installed  ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: setup $(VENV)/.requirements-dev.txt.installed  ## benchmarks
	$(BIN)/python -m bench $(ARGS)

docs: setup $(VENV)/.requirements-docs.txt.installed  ## the documentation as a site, in site/
	$(BIN)/python -m docs.generate
	$(BIN)/mkdocs build

docs-serve: setup $(VENV)/.requirements-docs.txt.installed  ## the same on http://localhost:8001
	$(BIN)/mkdocs serve --dev-addr localhost:8001

pictures: setup $(VENV)/.requirements-dev.txt.installed  ## take the pictures of README and docs; VIDEOS=folder
	$(BIN)/python -m docs.pictures $(if $(VIDEOS),--videos $(VIDEOS))

# Of the lists, only the lean one names OpenCV without windows.
lock: $(VENV)/.requirements-dev.txt.installed  ## update the requirements files
	$(BIN)/python -m pip install --quiet uv
	sed 's/^opencv-python-headless==/opencv-python==/' requirements-lean.txt > $(VENV)/lean.txt
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --python-version 3.11 pyproject.toml -o $(VENV)/lean.txt
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --python-version 3.11 --extra full -c $(VENV)/lean.txt pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --python-version 3.11 --extra cluster -c requirements.txt pyproject.toml -o requirements-cluster.txt
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --python-version 3.11 --group dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --no-header --no-annotate --python-version 3.11 --group docs -c requirements-dev.txt -o requirements-docs.txt
	sed 's/^opencv-python==/opencv-python-headless==/' $(VENV)/lean.txt > requirements-lean.txt

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache
