# The commands of a developer; `make help` lists them.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test coverage evaluate check format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## Make .venv with everything Khabar needs to run

setup-dev: $(VENV)/.ready-dev ## The same with the tools for tests and checks

demo: setup ## Run everything with seeds/ replayed as if live; ARGS="--port 8080" for another port
	@$(BIN)/khabar up --demo $(ARGS)

test: setup-dev ## Set up, then run the tests
	@$(BIN)/python -m pytest $(ARGS)

coverage: setup-dev ## Run the tests and report the lines they reach in all processes
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

evaluate: setup-dev ## Measure the enrichment, write docs/reference/evaluation.md; DATA=DIR: the public corpora
	$(BIN)/python -m evaluation $(if $(DATA),--data $(DATA)) $(if $(SAMPLES),--samples $(SAMPLES)) $(ARGS)

check: setup-dev ## Check style, types and import rules
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

# requirements.overrides leaves torch out, which camel-tools requires and Khabar does not use by default.
UPGRADE ?= --upgrade
COMPILE := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url \
           --no-header --no-annotate --overrides requirements.overrides --quiet --extra camel --group build

lock: setup-dev ## Pin all dependencies (Python packages, Kafka's jar files); UPGRADE= keeps the present versions
	$(COMPILE) $(UPGRADE) -o requirements.lock
	$(COMPILE) $(UPGRADE) --group dev -c requirements.lock -o requirements-dev.lock
	$(BIN)/python -m services.embedded.jars --lock

clean: ## Remove the virtual environment and the default data directory
	rm -rf $(VENV) .khabar
