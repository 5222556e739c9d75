# Needs Python 3.11 (or 3.12), make and git; the rest goes into .venv, from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
export UV_LINK_MODE ?= hardlink

.PHONY: help setup demo test quick format docs pictures faults soak lint lock backbones errors-doc vocabulary-doc clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   run a real sweep on solar-cell photos"
	@echo "make test   every check and test"
	@echo "make quick  ruff and the tests of search_spaces and service that need no Ray (a minute on two cores)"
	@echo "make format let ruff format the code and mend what it can"
	@echo "make docs   write every generated page anew: errors, vocabulary, the picture of the folders (minutes)"
	@echo "make faults every experiment with faults, as often as docs/reliability.md says (about two hours on two cores)"
	@echo "make setup  only install into $(VENV)"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make lock   resolve requirements.lock anew"
	@echo "make backbones  examine the models of timm and torchvision that the tables of backbones lack (minutes)"
	@echo "make errors-doc  write docs/errors.md anew from the cases in tests/errors"
	@echo "make vocabulary-doc  write docs/vocabulary.md anew from the records"
	@echo "make pictures  draw docs/images/folders.svg anew from the imports"
	@echo "make clean  remove $(VENV) and caches"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "Python 3.11 or 3.12 is needed, $(PYTHON) is $$($(PYTHON) --version); try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: setup
	$(BIN)/meltpoint run examples/solar_cells.yaml

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports

# mypy runs beside the tests, which leave the cores idle now and then. Each check that failed is named at the end.
test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@mkdir -p .mypy_cache; \
	echo "$(BIN)/mypy --num-workers 2, beside the tests"; \
	nice -n 19 $(BIN)/mypy --num-workers 2 > .mypy_cache/output.txt 2>&1 & mypy=$$!; \
	trap "kill $$mypy" INT TERM; \
	echo "$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder"; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$mypy; types=$$?; \
	cat .mypy_cache/output.txt; \
	test $$types -eq 0 || echo "make test: mypy failed, see above"; \
	test $$tests -eq 0 || echo "make test: pytest failed, see above"; \
	test $$types -eq 0 && test $$tests -eq 0

quick: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --quick tests/search_spaces tests/service tests/test_docs.py \
	  tests/test_layout.py tests/test_architecture.py

format: setup
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

docs: errors-doc vocabulary-doc pictures

pictures: setup
	$(BIN)/python docs/draw_folders.py

faults: setup
	$(BIN)/python -m pytest tests -m experiment --thorough --experiments experiments.json
	$(BIN)/python -m tests.faults.page experiments.json

soak: setup
	$(BIN)/python -m tests.faults.soak .soak-$$(date +%Y%m%dT%H%M%S) --experiments soak.json
	$(BIN)/python -m tests.faults.page soak.json

lock: setup
	$(BIN)/uv pip compile --quiet --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --output-file requirements.lock pyproject.toml

backbones: setup
	$(BIN)/python -m trainables.architectures.table_writer

errors-doc: setup
	$(BIN)/python -m tests.errors.page

vocabulary-doc: setup
	$(BIN)/python -m service.explanations.vocabulary_page

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
