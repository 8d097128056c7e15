# Everything runs in .venv, made from uv.lock; all that is needed beforehand is git, make and python3.
SHELL := /bin/sh
RUN := .venv/bin/
# make demo PYTHON=/usr/bin/python3.11 makes .venv of that interpreter, if there is none of another yet.
PYTHON ?= python3
# make test PG=15 runs on that PostgreSQL, where its binaries are on the machine.
PG ?=
LANG_OPTION := $(if $(DEMO_LANG),--lang $(DEMO_LANG))

.PHONY: help demo test faults fuzz mutations nemesis bench bench-docs check format contracts secrets sbom

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

.venv/.synced: pyproject.toml uv.lock deploy/bootstrap.py
	@echo "making .venv"
	@$(PYTHON) deploy/bootstrap.py
	@touch $@

# With the libraries of the peers, which nothing else needs.
.venv/.synced-bench: .venv/.synced
	@$(PYTHON) deploy/bootstrap.py --group bench
	@touch $@

demo: .venv/.synced ## play the example families of five regions through the whole system
	@exec $(RUN)gongji demo $(LANG_OPTION)

test: .venv/.synced ## every test but the long ones of faults, on private servers of its own
	@GONGJI_TEST_PG=$(PG) exec $(RUN)pytest -m "not long" $(ARGS)

faults: .venv/.synced ## every fault of docs/reliability.md, the long ones too; SEED=n draws by chance what an earlier run drew
	@GONGJI_TEST_PG=$(PG) exec $(RUN)pytest tests/faults $(if $(SEED),-p randomly --randomly-seed=$(SEED)) $(ARGS)

fuzz: .venv/.synced ## bodies without end for the message parser; MINUTES=30, SEED=n
	@exec $(RUN)python -m tests.fuzzing $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

mutations: .venv/.synced ## plant the bugs of docs/reliability.md one by one, each must be noticed; ONLY=word
	@exec $(RUN)python -m tests.mutations $(if $(ONLY),--only "$(ONLY)")

nemesis: .venv/.synced ## faults at random over a running stack, then every invariant; SEED=n, MINUTES=m, SEEDS=so many one after the other
	@exec $(RUN)python -m tests.nemesis $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEEDS),--seeds $(SEEDS))

bench: .venv/.synced-bench ## measure what docs/performance.md says; QUICK=1, ROUNDS=n, FIGURE=throughput; GROWTH=1 with ACCOUNTS="n n", PROVE=1
	@exec $(RUN)python -m bench $(FIGURE) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(GROWTH),--growth) $(ACCOUNTS:%=--accounts %) $(if $(PROVE),--prove)

bench-docs: .venv/.synced ## draw docs/performance/*.svg and write the tables of docs/performance.md from bench/results
	@$(RUN)python -m bench.plots
	@$(RUN)python -m bench.document

check: .venv/.synced ## format, lint, types, import rules, SQL, generated files, advisories against what is locked
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)squawk --config deploy/squawk.toml shared/postgres/migrations/*.sql
	$(RUN)python -m contracts check
	$(RUN)python -m deploy.advisories

format: .venv/.synced ## put code into shape
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

contracts: .venv/.synced ## write contracts/ anew from the code
	$(RUN)python -m contracts write

sbom: .venv/.synced ## write what a release is made of, with its extras, to sbom.cdx.json, CycloneDX
	@$(RUN)uv export --locked --no-dev --all-extras --format cyclonedx1.5 --quiet --output-file sbom.cdx.json

secrets: .venv/.synced ## make what docker-compose.yml mounts and is missing in deploy/secrets
	@$(RUN)python -m deploy.credentials
