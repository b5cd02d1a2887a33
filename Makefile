# Every target installs what it needs first: see tests/stack/README.md.
# A second run finds it in .tools/ and needs no network.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Tests and programs find the installed tools through this variable.
export LIFEBOAT_TOOLS := $(CURDIR)/.tools
export PATH := $(CURDIR)/.tools/bin:$(PATH)

CARGO_TARGET_DIR ?= target
DEMO_OPTIONS = $(if $(DATABASE_URL),--database-url "$(DATABASE_URL)") $(if $(STORE),--store "$(STORE)")
SHELL_SCRIPTS = .ci/run image/entrypoint.sh infra/accept-aws infra/build-functions tests/stack/setup tests/stack/layer tests/stack/check-advisories

.PHONY: help setup demo test lint format bench cold-start soak browser functions up down status invoke layer infra-test \
	functions-release synth deploy accept-aws clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install everything that tests and linters need, under .tools/
	@tests/stack/setup all

demo: ## Back up, verify and restore a database here [DATABASE_URL=env:VARIABLE] [STORE=s3://…]
	@tests/stack/setup compiler postgres15
	cargo build --release -p lifeboat-cli
	$(CARGO_TARGET_DIR)/release/lifeboat demo $(DEMO_OPTIONS)

# All of the workspace in one go, and always all of its targets: built crate by crate, or without the tests, dependencies
# whose features differ would be compiled anew.
# One test more than there are cores at a time: most of them wait for servers.
test: export RUST_TEST_THREADS := $(shell expr $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)
test: infra-test ## Run every test, against real PostgreSQL, MinIO, LocalStack and moto
	@tests/stack/setup compiler postgres15 postgres17 postgres18 minio age gpg localstack moto sinks awscli cargo-lambda
	@tests/stack/layer x86_64
	cargo build --workspace --all-targets
	cargo test --workspace --lib --bins --tests

lint: ## Check format, code, dependencies, licences, spelling and shell scripts
	@tests/stack/setup compiler lint
	@committed=$$(git ls-files --cached --ignored --exclude-standard); test -z "$$committed" || \
		{ echo "committed although .gitignore names it: $$committed" >&2; exit 1; }
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --all-features check bans licenses sources
	@tests/stack/check-advisories
	cargo machete
	typos
	shellcheck --external-sources --check-sourced $(SHELL_SCRIPTS)
	hadolint Dockerfile

format: ## Format the code
	cargo fmt --all

BENCH_RECORD ?= target/bench

bench: ## Measure our speed and memory beside stock tools [BENCH_OPTIONS="--scale 6 --rounds 3"] [BENCH_RECORD=docs/bench]
	@tests/stack/setup compiler postgres15 postgres17 minio awscli
	cargo build --release -p lifeboat-cli -p lifeboat-tests --bin lifeboat --bin bench
	$(CARGO_TARGET_DIR)/release/bench --record $(BENCH_RECORD) --date $$(date -u +%F) $(BENCH_OPTIONS)

FUNCTIONS = $(notdir $(patsubst %/main.rs,%,$(wildcard functions/*/main.rs)))

cold-start: ## Measure how long functions take until they ask for work, and how large they are
	@tests/stack/setup compiler
	cargo build --release -p lifeboat-functions
	cargo build --release -p lifeboat-tests --bin cold-start
	$(CARGO_TARGET_DIR)/release/cold-start $(FUNCTIONS)

# What is too slow for every change: large databases, many tables, every version against every other, fleets, millions of
# inputs to what reads bytes of strangers.
soak: ## Run the slow end-to-end tests, and the long fuzzing
	@tests/stack/setup compiler postgres15 postgres17 postgres18 minio age gpg localstack moto sinks awscli cargo-lambda infra
	cargo build --release -p lifeboat-cli -p lifeboat-functions
	cargo test --release -p lifeboat-tests --test e2e -- --ignored --skip ::browser::
	cargo test --release -p lifeboat-archive --test archive -- --ignored
	cargo test --release -p lifeboat-postgres --lib -- --ignored

browser: ## Look at status page and mail in Chromium: overflow, accessibility, keyboard; screenshots under target/browser
	@tests/stack/setup compiler postgres15 browser
	cargo build -p lifeboat-cli
	cargo test -p lifeboat-tests --test e2e -- --ignored ::browser::

# `cargo lambda build` would compile every dependency a second time, in a folder of its own.
functions: ## Build the Lambda functions for this machine, as the tests invoke them
	@tests/stack/setup compiler
	cargo build -p lifeboat-functions

up: ## Start PostgreSQL, MinIO, LocalStack and the sinks here, and deploy the functions to them
	@tests/stack/setup compiler postgres15 minio localstack sinks awscli
	cargo build --workspace --bins
	@$(CARGO_TARGET_DIR)/debug/stack up

down: ## Stop what `make up` started, and remove its data
	@if [ -x $(CARGO_TARGET_DIR)/debug/stack ]; then $(CARGO_TARGET_DIR)/debug/stack down; else cargo run -p lifeboat-tests --bin stack -- down; fi

status: ## Tell how to reach what `make up` started
	@if [ -x $(CARGO_TARGET_DIR)/debug/stack ]; then $(CARGO_TARGET_DIR)/debug/stack status; else cargo run --quiet -p lifeboat-tests --bin stack -- status; fi

invoke: ## Run a function on the stack, through cargo-lambda [FN=dump CASE=nightly]; without CASE: list the cases
	@tests/stack/setup compiler cargo-lambda
	@$(if $(FN),,echo "which function? make invoke FN=… CASE=…, with FN one of: $$(ls --ignore=schema events | tr '\n' ' ')" >&2; exit 2)
	@cargo build --quiet --workspace --bins
	@$(CARGO_TARGET_DIR)/debug/stack invoke $(FN) $(CASE)

infra-test: ## Check the CDK app: types, tests, every role's rights, cdk-nag, cfn-lint and checkov
	@tests/stack/setup compiler infra
	cargo build --workspace --all-targets
	cd infra && npx tsc && npx vitest run

synth functions-release deploy accept-aws: export LIFEBOAT_CONFIG := $(abspath $(or $(LIFEBOAT_CONFIG),lifeboat.toml))
CDK = cd infra && npx cdk

synth: ## Write the CloudFormation templates of lifeboat.toml to infra/cdk.out; no account is asked [LIFEBOAT_CONFIG=…]
	@tests/stack/setup compiler infra
	cargo build --quiet -p lifeboat-cli
	$(CDK) synth --quiet

functions-release: ## Build the functions as they are deployed, into target/lambda
	@tests/stack/setup compiler cargo-lambda
	cargo build --quiet -p lifeboat-cli
	infra/build-functions "$$($(CARGO_TARGET_DIR)/debug/lifeboat config check | awk '$$1 == "deploy.architecture" { print $$2 }')"

deploy: functions-release layer ## Deploy lifeboat.toml to the AWS account of your credentials: docs/DEPLOY.md
	@tests/stack/setup infra
	$(CDK) deploy --all --context lifeboat:complete=true

accept-aws: ## Deploy, back up, verify and drill in a real account; costs money [DATABASE=orders ACCOUNT=123456789012 DEPLOYED=1]
	cargo build --quiet -p lifeboat-cli
	LIFEBOAT_PROGRAM=$(abspath $(CARGO_TARGET_DIR))/debug/lifeboat infra/accept-aws "$(DATABASE)" "$(ACCOUNT)" $(if $(DEPLOYED),deployed)

layer: ## Make the Lambda layers with PostgreSQL's client tools, under target/layer
	@tests/stack/layer

clean: ## Remove what was built; the tools in .tools/ stay
	cargo clean
