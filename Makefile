# Every target but help, venv and clean needs .venv and makes it when it is not there or pyproject.toml has changed.
# Works with GNU Make 3.81 (macOS) and later.

PYTHONS ?= python3 python3.13 python3.12 python3.11 python3.10
PYTEST_ARGS ?= -n auto --dist worksteal
# Examples of the property test among the slow tests, the same ones in each run.
EXAMPLES ?= 300

BIN := .venv/bin
STAMP := .venv/.made-from-pyproject
USABLE := -c "import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"

.DEFAULT_GOAL := help
.PHONY: help venv test slow pyairbyte examples wheel lint format hooks demo models report bench bundle docs sandbox probe image constraints connector-test clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(STAMP) ## Make .venv with the connector and all tools (PYTHONS=python3.12 chooses the Python)

$(STAMP): pyproject.toml
	@if ! $(BIN)/python $(USABLE) 2>/dev/null; then \
		found=; \
		for python in $(PYTHONS); do \
			if "$$python" $(USABLE) 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No usable Python among: $(PYTHONS). Install Python 3.10, 3.11, 3.12 or 3.13 with its venv module" \
				"(on Debian and Ubuntu: apt install python3-venv), or name one: make venv PYTHONS=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		echo "Making .venv with $$("$$found" --version); about a minute, once."; \
		"$$found" -m venv --clear .venv || exit 1; \
	fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test: lint ## Run ruff, mypy and all tests but the slow ones (PYTEST_ARGS='-k media' chooses tests)
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

slow: $(STAMP) ## Run the slow tests: every case of trouble, the soak, many examples of losses
	LOSSES_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m slow --hypothesis-seed=0 $(PYTEST_ARGS)

pyairbyte: $(STAMP) ## Sync twice with PyAirbyte as the README says, and compare what is stored
	$(BIN)/python -m pytest unit_tests/test_pyairbyte.py

examples: $(STAMP) ## Run the Dagster example on groups of accounts of the sandbox
	$(BIN)/python -m pytest unit_tests/test_examples.py

wheel: $(STAMP) ## Build the wheel, and try it on each Python that is found
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@for python in $(PYTHONS); do \
		if "$$python" $(USABLE) 2>/dev/null; then \
			home=.environments/wheel-$$("$$python" -c "import sys; print('%d.%d' % sys.version_info[:2])"); \
			case " $$tried " in *" $$home "*) continue;; esac; tried="$$tried $$home"; \
			"$$python" -m venv --clear $$home && \
			$$home/bin/python -m pip install --quiet --disable-pip-version-check dist/source_instagram-*.whl && \
			$$home/bin/source-instagram spec >/dev/null && $$home/bin/source-instagram groups --help >/dev/null && \
			echo "$$("$$python" --version): the wheel installs and runs" || exit 1; \
		fi; \
	done

lint: $(STAMP) ## Check style, format, types and the manifest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m manifest_lint source_instagram

format: $(STAMP) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

hooks: $(STAMP) ## Check each commit before it is made (pre-commit)
	@$(BIN)/python -c "from environments import environment; environment('pre-commit', 'pre-commit>=4.2')"
	.environments/pre-commit/bin/pre-commit install

demo: $(STAMP) ## Sync every stream from the sandbox into a database and report on it, without a Meta app
	$(BIN)/python -m demo

models: $(STAMP) ## Make the SQL models of the demo's tables and test them, in DuckDB and in Postgres
	$(BIN)/python -m warehouse models

report: $(STAMP) ## Make one page of these models, which needs no network, and its picture (REPORT_ARGS='--database FILE')
	$(BIN)/python -m warehouse report $(REPORT_ARGS)

bench: $(STAMP) ## Measure syncs beside the peer and the least that the API allows (BENCH_ARGS='--quick' is short)
	$(BIN)/python -m bench $(BENCH_ARGS)

bundle: $(STAMP) ## Write dist/manifest.yaml and dist/components.py for the Connector Builder and the manifest-only image
	$(BIN)/python -m bundle

docs: $(STAMP) ## Write the generated parts of the documentation again
	$(BIN)/python -m docs

sandbox: $(STAMP) ## Serve a local Instagram Graph API until stopped
	$(BIN)/python -m sandbox serve

probe: $(STAMP) ## Try each rule of Meta's API that nobody has recorded, against the sandbox (docs/truth.md)
	$(BIN)/python -m bench.probe

image: $(STAMP) ## Build the Docker image, which metadata.yaml describes
	$(BIN)/python -m image

constraints: $(STAMP) ## Pin again what the image installs (wants the Python that it has)
	$(BIN)/python -m image constraints

connector-test: $(STAMP) ## Run Airbyte's own tests of connectors against the sandbox (CONNECTOR=dist tests the bundle in it)
	$(BIN)/python -m connector_test $(CONNECTOR)

clean: ## Remove .venv, caches and built packages
	rm -rf .venv .environments .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
