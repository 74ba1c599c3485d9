# The two commands: `make demo` shows the product on real data, `make test` runs everything that guards it.
.PHONY: demo test check format build bench

CARGO ?= cargo
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

demo: build
	./scripts/demo

build:
	$(CARGO) build --workspace --locked

# Always the whole workspace: building one package changes the features of shared libraries and rebuilds them.
test:
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --workspace --all-features --locked
else
	$(CARGO) test --workspace --all-features --locked
endif
	$(CARGO) test --workspace --all-features --locked --doc

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings

format:
	$(CARGO) fmt --all
