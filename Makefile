# Every step a developer or CI takes. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPARK_JARS := .cache/spark-jars
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' cltv_assets/__init__.py)
AUDIT := .cache/audit-tools
TERRAFORM_TOOLS := .cache/terraform-tools
NEWEST := .cache/newest-dagster
DASHBOARD := .cache/dashboard
# One instance for the demo, `make dev` and the command line alike.
export DAGSTER_HOME := $(CURDIR)/.dagster
# A fresh environment without bytecode costs every process seconds of imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

# $(1): lock file, $(2): stamp. The lock is complete, so nothing is resolved anew (pip would refuse
# a pinned package that another one wants with extras); the package itself adds no dependency either.
define install
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "cltv_assets needs Python 3.11 or newer; set PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(1) into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(2)
endef

$(VENV)/.installed: requirements.lock pyproject.toml
	$(call install,requirements.lock,$@)

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock,$@)

$(VENV)/.installed-all: requirements-all.lock pyproject.toml
	$(call install,requirements-all.lock,$@)

# The tools that look at what is delivered want other versions of some packages than the platform does.
$(AUDIT)/.installed: requirements-audit.lock | $(VENV)/.installed-dev
	@echo "Installing $< into $(AUDIT) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(AUDIT)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(AUDIT)/bin/python $<
	@touch $@

install: $(VENV)/.installed-all ## Install everything that the tests need of Python

demo: $(VENV)/.installed ## Install, then run every asset and check on 18 months of the CDNOW purchase log
	@$(BIN)/cltv demo

dev: $(VENV)/.installed ## Open the Dagster UI at http://127.0.0.1:3000 on the same instance and lake
	@mkdir -p $(DAGSTER_HOME)
	@test -f $(DAGSTER_HOME)/dagster.yaml || cp deploy/dagster.yaml $(DAGSTER_HOME)/
# Definitions that do not load for a while, after an edit, stop a backfill for that while only.
	@env DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR=1 $(BIN)/dagster dev -w workspace.yaml --host 127.0.0.1

$(DASHBOARD)/.installed: requirements-dashboard.lock
	@echo "Installing $< into $(DASHBOARD) ..."
	@$(PYTHON) -m venv $(DASHBOARD)
	@$(DASHBOARD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

VIEWS ?= .cache/analysis.duckdb
dashboard: $(VENV)/.installed $(DASHBOARD)/.installed ## Open the example dashboard at http://127.0.0.1:8501 on the lake as it is now
	@$(BIN)/cltv views --to $(VIEWS)
	@cd examples/dashboard && $(CURDIR)/$(DASHBOARD)/bin/streamlit run app.py -- $(abspath $(VIEWS))

test: $(VENV)/.installed-dev ## Install what the tests need and run them
# In the order of the folders: sorted by the number of their tests, the longest modules would come last and alone.
	@$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

# The other packages stay as they were tested, so that a failure is Dagster's doing.
NEWEST_TESTS ?= $(addprefix cltv_assets_tests/dagster_defs/,component assets test_instance_state.py test_upstream.py)
test-newest-dagster: $(VENV)/.installed-dev ## Test component, assets and what is private of Dagster on the newest Dagster that resolves; needs network
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(NEWEST)
	@$(BIN)/cltv constraints | grep -v '^dagster' > $(NEWEST)/constraints.txt
	@$(BIN)/uv pip install --quiet --upgrade --python $(NEWEST)/bin/python -c $(NEWEST)/constraints.txt -e . \
		dagster-dg-cli hypothesis pytest pytest-xdist
	@$(NEWEST)/bin/python -c 'import dagster; print("Dagster", dagster.__version__)'
	@$(NEWEST)/bin/python -m pytest -n auto --durations=5 $(NEWEST_TESTS)

# One process after the other: two Sparks at once would take turns on the memory of a small machine.
test-spark: $(VENV)/.installed-all ## Test transformations and checks on Spark in this process
	@$(BIN)/python -m pytest --engines=spark --durations=10 $(addprefix cltv_assets_tests/,engines tables/expressions tables/checks)

CLUSTER_TESTS ?= $(addprefix cltv_assets_tests/,cluster lake engines/test_on_servers.py)
test-cluster: $(VENV)/.installed-all $(SPARK_JARS)/.fetched ## Test on a real S3 server and real Spark servers, which it installs
	@.ci/install-servers
	@$(BIN)/python -m pytest --cluster --engines=spark --durations=25 $(CLUSTER_TESTS)

# Long versions of tests that have a short one in the suites above.
test-soak: $(VENV)/.installed-all $(SPARK_JARS)/.fetched $(DASHBOARD)/.installed ## Run the tests that take too long for every change, on all that the other suites need
	@.ci/install-servers
	@.ci/install-browser
	@.ci/install-production
	@$(BIN)/python -m pytest -m soak --cluster --engines=duckdb,spark --browser --production --durations=10

test-browser: $(VENV)/.installed-dev $(DASHBOARD)/.installed ## Test the Dagster UI and the dashboard in a real browser, which it installs
	@.ci/install-browser
	@$(BIN)/python -m pytest --browser --durations=10 cltv_assets_tests/e2e/browser

test-production: $(VENV)/.installed-all ## Test the production instance of deploy/ with PostgreSQL, nginx and S3, which it installs
	@.ci/install-production
	@$(BIN)/python -m pytest --production --durations=10 cltv_assets_tests/production

# checkov pins hard, so what checks Terraform has an environment of its own.
$(TERRAFORM_TOOLS)/.installed: requirements-terraform.lock | $(VENV)/.installed-dev
	@echo "Installing $< into $(TERRAFORM_TOOLS) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(TERRAFORM_TOOLS)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(TERRAFORM_TOOLS)/bin/python $<
	@touch $@

test-delivery: $(VENV)/.installed-dev $(AUDIT)/.installed $(TERRAFORM_TOOLS)/.installed ## Test what is shipped and how: wheel, images, infrastructure as code, workflows
	@.ci/install-tools
	@$(BIN)/python -m pytest --delivery --durations=10 cltv_assets_tests/delivery --ignore-glob='*/test_image_*'

# Podman builds as root.
AS_ROOT = $(if $(filter-out 0,$(shell id -u)),sudo -n --preserve-env)
test-image: $(VENV)/.installed-dev ## Build the image with Podman and test its services in it; as root, on Debian or Ubuntu
	@.ci/install-image-tools
	@$(AS_ROOT) $(BIN)/python -m pytest --delivery --durations=10 -p no:cacheprovider $(wildcard cltv_assets_tests/delivery/test_image_*.py)

terraform-check: $(VENV)/.installed-dev $(TERRAFORM_TOOLS)/.installed ## Check deploy/terraform without an account: format, plans, rights, policies
	@$(BIN)/python -m pytest --delivery --durations=5 $(wildcard cltv_assets_tests/delivery/test_terraform_*.py)

terraform-format: $(VENV)/.installed-dev $(TERRAFORM_TOOLS)/.installed ## Format deploy/terraform
	@PYTHONPATH=. $(TERRAFORM_TOOLS)/bin/python -m cltv_assets_tests.delivery.terraform.command fmt -recursive deploy/terraform

# These two reach a real account: deploy/terraform/README.md. ENV is staging or production.
terraform-plan: ## Plan the changes of ENV=staging|production into a file, with the credentials at hand
	@deploy/terraform/run plan "$(ENV)"

terraform-apply: ## Make the changes that `make terraform-plan` wrote down for ENV, and no others
	@deploy/terraform/run apply "$(ENV)"

wheel: $(VENV)/.installed-dev ## Build wheel and source archive into dist/, twice, and compare the bytes
	@$(BIN)/python -m delivery.wheel

sbom: $(VENV)/.installed-dev $(AUDIT)/.installed ## List what the images install in artifacts/sbom, and judge the licences
	@$(BIN)/python -m delivery.sbom

AUDITFLAGS ?=
audit: $(VENV)/.installed-dev $(AUDIT)/.installed ## Ask for known vulnerabilities of everything in the locks; needs network
	@$(BIN)/python -m delivery.audit $(AUDITFLAGS)

$(SPARK_JARS)/.fetched: requirements-all.lock | $(VENV)/.installed-all
	@$(BIN)/cltv jars --into $(SPARK_JARS)
	@touch $@

lint: $(VENV)/.installed-dev ## Check style, types, generated files, the changelog and that the definitions load
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports
	@$(BIN)/python -m cltv_assets.tables.data_dictionary --check docs/data_dictionary.md
	@$(BIN)/python -m cltv_assets.settings.reference --check docs/settings.md
	@$(BIN)/python -m bench.published --check
	@$(BIN)/python -m delivery.constraints --check
	@$(BIN)/python -m delivery.changelog
	@mkdir -p $(DAGSTER_HOME)
	@$(BIN)/dagster definitions validate -w workspace.yaml --log-level warning
	@$(BIN)/dg check defs > /dev/null

release-check: ## Check that TAG (v1.2.3) fits the version and CHANGELOG.md; needs no installation
	@$(PYTHON) -m delivery.changelog --tag "$(TAG)"

format: $(VENV)/.installed-dev ## Format the code; regenerate data dictionary, list of settings, table of published figures and the package's constraints
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(BIN)/python -m cltv_assets.tables.data_dictionary docs/data_dictionary.md
	@$(BIN)/python -m cltv_assets.settings.reference docs/settings.md
	@$(BIN)/python -m bench.published
	@$(BIN)/python -m delivery.constraints

# --no-emit-index-url and the fixed header keep addresses and paths out of the locks.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock: ## Pin the dependencies anew, with hashes: embedded, for development, with Spark and S3, for production
	@test -x $(BIN)/uv || { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); $(BIN)/python -m pip install --quiet uv; }
	@$(LOCK) $(LOCKFLAGS) pyproject.toml setup-requires.in --all-extras --group dev -o requirements-all.lock
	@$(LOCK) $(LOCKFLAGS) pyproject.toml setup-requires.in -c requirements-all.lock -o requirements.lock
	@$(LOCK) $(LOCKFLAGS) pyproject.toml setup-requires.in --group dev -c requirements-all.lock -o requirements-dev.lock
	@$(LOCK) $(LOCKFLAGS) pyproject.toml setup-requires.in --extra s3 --extra production --extra kubernetes --extra excel --extra postgresql --extra mysql --extra iceberg -c requirements-all.lock -o requirements-production.lock
	@$(LOCK) $(LOCKFLAGS) pyproject.toml setup-requires.in --extra s3 --extra production --extra kubernetes --extra excel --extra postgresql --extra mysql --extra iceberg --extra spark --extra jre -c requirements-all.lock -o requirements-production-spark.lock
	@$(LOCK) $(LOCKFLAGS) terraform-requires.in -o requirements-terraform.lock
	@$(LOCK) $(LOCKFLAGS) audit-requires.in -o requirements-audit.lock
	@$(LOCK) $(LOCKFLAGS) dashboard-requires.in -c requirements-all.lock -o requirements-dashboard.lock
	@$(BIN)/python -m delivery.constraints

IMAGE ?= cltv-assets
IMAGE_TARGET ?= embedded
IMAGE_TAG = $(VERSION)$(if $(filter spark,$(IMAGE_TARGET)),-spark)
image: ## Build the image IMAGE_TARGET (embedded or spark) as IMAGE:<version> or IMAGE:<version>-spark, with Docker
	@docker build --file deploy/Dockerfile --target $(IMAGE_TARGET) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE):$(IMAGE_TAG) .

image-push: ## Push that image to the registry that IMAGE names
	@docker push $(IMAGE):$(IMAGE_TAG)

release-page: ## Make the page of the release TAG on GitHub, with what dist/ holds
	@$(PYTHON) -m delivery.changelog --tag "$(TAG)" --notes | \
		gh release create "$(TAG)" --verify-tag --title "$(TAG)" --notes-file - dist/* artifacts/sbom/*

ENVIRONMENT ?= production
INSTANCE ?= deploy/dagster-production.yaml
# The instance is asked as the services ask it, with its variables.
doctor: $(VENV)/.installed-all ## Ask whether ENVIRONMENT is fit for a deployment: credentials, bucket, database, schedules, versions
	@mkdir -p .cache/doctor
	@cp $(INSTANCE) .cache/doctor/dagster.yaml
	@DAGSTER_HOME=$(CURDIR)/.cache/doctor $(BIN)/cltv doctor --environment $(ENVIRONMENT)

clean: ## Remove the demo's lake and instance, and what tools left behind
	rm -rf lake .dagster build dist artifacts/sbom .cache/sbom *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -exec rm -rf {} +

.PHONY: help install demo dev dashboard test test-newest-dagster test-spark test-browser test-production test-soak test-cluster test-delivery test-image terraform-check terraform-format terraform-plan terraform-apply wheel sbom audit lint format lock image image-push release-check release-page doctor clean
