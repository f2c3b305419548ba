# Everything a developer runs. `make help` lists it.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test coverage evaluate check format lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## Make .venv with everything Khabar needs to run

setup-dev: $(VENV)/.ready-dev ## ... and what its tests and checks need

demo: setup ## Run everything with seeds/ replayed as if live
	@$(BIN)/khabar up --demo $(ARGS)

test: setup-dev ## Set up, then run the tests
	@$(BIN)/python -m pytest $(ARGS)

coverage: setup-dev ## The tests, with a report of the lines they reach in all processes
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

evaluate: setup-dev ## Measure the enrichment, write docs/reference/evaluation.md; DATA=DIR has the public corpora
	$(BIN)/python -m evaluation $(if $(DATA),--data $(DATA)) $(if $(SAMPLES),--samples $(SAMPLES)) $(ARGS)

check: setup-dev ## Lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.ready: requirements.lock pyproject.toml services/embedded/kafka.lock.toml
	@sh deploy/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	@sh deploy/setup.sh "$(PYTHON)" "$(VENV)" dev
	@touch $@

COMPILE := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url \
           --no-header --no-annotate --overrides requirements.overrides --quiet --extra build

lock: setup-dev ## Pin every dependency anew (Python packages and Kafka's jar files)
	$(COMPILE) --upgrade -o requirements.lock
	$(COMPILE) --upgrade --extra dev -c requirements.lock -o requirements-dev.lock
	$(BIN)/python -m services.embedded.jars --lock

clean: ## Remove the virtual environment and the default data directory
	rm -rf $(VENV) .khabar
