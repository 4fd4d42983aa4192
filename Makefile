# `make run` and `make test` need only Python 3.11 to 3.13 and make: the first of either sets everything up.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Without cached bytecode each of the processes would compile everything anew: a second for each.
unexport PYTHONDONTWRITEBYTECODE

# A pyenv shim can exist and still not run, so each candidate is tried.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)

# Poetry does not read pip's index settings, so pip is asked for the index it uses.
POETRY = POETRY_PYPI_MIRROR_URL="$${POETRY_PYPI_MIRROR_URL:-$$(.tools/bin/python -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)')}" \
	POETRY_VIRTUALENVS_IN_PROJECT=true POETRY_KEYRING_ENABLED=false POETRY_NO_INTERACTION=1 VIRTUAL_ENV= CONDA_PREFIX= \
	.tools/bin/python -m poetry

# Poetry removes each extra that is not named, so those asked for are kept as files.
EXTRAS = --extras "$$(echo $$(ls .venv/.extras 2>/dev/null))"
ADD_EXTRA = mkdir -p .venv/.extras && touch .venv/.extras/$@ && $(POETRY) install --quiet --only main,embedded $(EXTRAS)

.PHONY: help
help:
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 26

.tools/.ready: Makefile
	@test -n "$(PYTHON)" || { echo "Cinema needs Python 3.11, 3.12 or 3.13. Name one: make run PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up the tools (once) ..."
	@$(PYTHON) -m venv .tools || { echo "This Python cannot make environments: install its venv module (Debian: python3-venv)."; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "poetry>=2.5,<3" "poetry-plugin-pypi-mirror>=0.6,<0.7"
	@touch $@

.venv/.main-ready: .tools/.ready poetry.lock
	@echo "Installing Cinema ..."
	@$(POETRY) install --quiet --only main,embedded $(EXTRAS)
	@touch $@

.venv/.dev-ready: .venv/.main-ready
	@$(POETRY) install --quiet $(EXTRAS)
	@touch $@

.PHONY: s3
s3: .venv/.main-ready ## install the packages for buckets (MEDIA_BUCKET, RELEASES_URL)
	@$(ADD_EXTRA)

.PHONY: neural
neural: .venv/.main-ready ## install PyTorch, which the algorithm "neural" needs
	@$(ADD_EXTRA)

.PHONY: spark
spark: .venv/.main-ready ## install the packages for training on a Spark cluster (TRAINING_ENGINE=spark); they need Java 17
	@$(ADD_EXTRA)

.PHONY: telemetry
telemetry: .venv/.main-ready ## install the packages that send traces (OTEL_*) and errors (SENTRY_DSN)
	@$(ADD_EXTRA)

.PHONY: lock
lock: .tools/.ready
	@$(POETRY) lock

.PHONY: run
run: .venv/.main-ready ## start everything, with a demonstration: http://127.0.0.1:8000
	@exec .venv/bin/python manage.py up $(if $(EMPTY),--empty)

# One more than cores, up to four: some tests wait for time-outs and compute nothing.
TEST_PROCESSES = $(shell getconf _NPROCESSORS_ONLN | awk '{print ($$1 < 3) ? $$1 + 1 : 4}')

.PHONY: test
test: .venv/.dev-ready ## run all tests except those of clusters; it starts embedded servers of its own
	@.venv/bin/python -m pytest -n $(TEST_PROCESSES) --durations=20 $(WITH_COVERAGE) $(TESTS)

# Spark's packages take half a gigabyte, so that only these tests install them.
.PHONY: test-scale
test-scale: .venv/.dev-ready ## run the tests of several hosts and of clusters; TESTS=tests/test_spark.py names some
	@$(MAKE) spark
	@.venv/bin/python -m pytest -m scale --durations=20 $(TESTS)

# The servers of the machine, by their usual addresses; each can be overridden. Tests delete the
# keys, queues and databases that they make there, and nothing else.
.PHONY: test-services
test-services: export TEST_DATABASE_URL ?= postgres://postgres@127.0.0.1:5432/cinema
test-services: export TEST_REDIS_URL ?= redis://127.0.0.1:6379/9
test-services: export TEST_CELERY_BROKER_URL ?= amqp://guest:guest@127.0.0.1:5672//
test-services: .venv/.dev-ready ## run the tests on PostgreSQL, Redis and RabbitMQ at their usual ports
	@.venv/bin/python -m pytest -n $(TEST_PROCESSES) --durations=20 $(TESTS)

.PHONY: test-clock
test-clock: .venv/.dev-ready ## run the tests at several moments; CLOCK=2028-02-29T23:59 names one
	@for moment in $${CLOCK:-$$(.venv/bin/python -c 'from tests.clock import MOMENTS; print(*MOMENTS)')}; do \
		echo "At $$moment:"; \
		.venv/bin/python -m pytest -n auto --maxprocesses=4 -q --ignore=tests/engine --clock=$$moment $(TESTS) || exit 1; \
	done

.PHONY: fuzz
fuzz: .venv/.dev-ready ## thousands of requests made from the OpenAPI document
	@.venv/bin/python -m tests.fuzz

.PHONY: lint
lint: .venv/.dev-ready ## ruff, mypy, migrations, GitHub's workflows
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m mypy .
	@.venv/bin/zizmor --offline --quiet --min-severity=medium .github/workflows
	@CINEMA_HOME="$$(mktemp -d)" .venv/bin/python manage.py makemigrations --check --dry-run

# Measuring slows the tests down, so it has a target of its own. CI's workflow runs it.
.PHONY: coverage
coverage: WITH_COVERAGE = --cov --cov-report=term
coverage: test ## run the tests and measure their coverage; it fails below 90 %

# mypy runs on one core, and some tests wait: they run side by side.
.PHONY: check
check: .venv/.dev-ready ## lint and the same tests
	@$(MAKE) -j2 lint test

.PHONY: sbom
sbom: .venv/.dev-ready ## write sbom.json, the list of the packages in the image
	@.venv/bin/python .ci/locked_requirements.py s3 | .venv/bin/cyclonedx-py requirements --output-reproducible --output-file sbom.json -

.PHONY: audit
audit: .venv/.dev-ready ## check the packages of the image for known vulnerabilities; it needs the internet
	@$(POETRY) install --quiet --with audit $(EXTRAS)
	@.venv/bin/python .ci/locked_requirements.py s3 > .venv/audited.txt
	@.venv/bin/pip-audit --disable-pip --require-hashes --requirement .venv/audited.txt

.PHONY: bench
bench: .venv/.dev-ready ## the benchmarks; NAMES="programme loading" runs some
	@.venv/bin/python -m bench $(NAMES)

.PHONY: bench-quality
bench-quality: .venv/.dev-ready ## how good each algorithm is, and the figures of docs/images; ten minutes
	@.venv/bin/python -m bench.quality $(NAMES)
