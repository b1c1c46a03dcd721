# Two commands on a fresh machine: `make demo` shows the main job, `make test` proves it.
# Both need python3 (3.10 to 3.13), make and a package index. PYTHON=python3.12 picks another Python.
# A computer without a GPU can have torch's smaller build: name PyTorch's index of CPU builds in PIP_EXTRA_INDEX_URL.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= datasets/demo
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

export FIFTYONE_DO_NOT_TRACK := 1

.PHONY: help demo test quick lint clean

help:
	@echo "make demo   draw the demo dataset, check, version, train and compare it"
	@echo "make test   ruff, mypy and the whole test suite"
	@echo "make quick  the fast part of the tests, in about a minute"
	@echo "make lint   ruff and mypy alone"
	@echo "make clean  remove what the set-up and the tools made (datasets stay)"

demo: $(VENV)/.installed
	@test -f $(DEMO)/dataset.yaml || $(BIN)/curate demo $(DEMO)
	@$(BIN)/curate run $(DEMO)
	@echo
	@echo "The report:            $(CURDIR)/$(DEMO)/reports/report.html"
	@echo "The same in the App:   $(BIN)/curate review $(DEMO)"

test: lint
	$(BIN)/python -m pytest

quick: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A failing mongod is no failure here: only the App needs one, and `curate doctor` says so again with the fix.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 10) <= v[:2] <= (3, 13) or sys.exit("specurate needs \
	Python 3.10 to 3.13, but $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	echo "python3 cannot make an environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PIP) install -c constraints.txt -e .
	-$(BIN)/python -m curate.review.services.mongod
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@
