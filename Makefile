# The two commands: `make demo` shows the product on real data, `make test` runs everything that guards it.
.PHONY: demo test test-servers check dependencies format build fuzz

CARGO ?= cargo
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

demo: build
	./scripts/demo

build:
	$(CARGO) build --workspace --locked

# What the tests need beside Cargo: a server that speaks the protocol of S3, and a client of Feast, from PyPI, in target/; and
# redis-server, from the packages of the system where it is missing.
test-servers:
	python3 scripts/s3_server --install
	scripts/redis_server --install
	scripts/feast_env >/dev/null

# Always the whole workspace: building one package changes the features of shared libraries and rebuilds them.
test: test-servers
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --workspace --all-features --locked
else
	$(CARGO) test --workspace --all-features --locked
endif
	$(CARGO) test --workspace --all-features --locked --doc

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings

# Licences, and where libraries come from, by deny.toml: `cargo install cargo-deny --locked`.
dependencies:
	$(CARGO) deny check licenses bans sources

# Every fuzz target for as many inputs; `scripts/fuzz 3600 rows` looks longer at one.
fuzz:
	scripts/fuzz 0

format:
	$(CARGO) fmt --all
