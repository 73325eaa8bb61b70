# kvmsh: what to do with the source tree. `make help` lists it.
#
# Works as root and as a user with sudo, on Debian and Ubuntu. What is missing is installed: the build's parts by
# tools/build-deps, those of the practice cluster (libvirt, QEMU, sshd, all without starting a service) by
# tests/lab/lab install and tests/lab/vm install. Only Rust itself is up to you: https://rustup.rs

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# rustup's place, for a shell that was opened before rustup was there.
export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

PREFIX ?= /usr/local
DESTDIR ?=
# Where `make lab` keeps the practice cluster.
LAB ?= $(CURDIR)/.lab

DEBUG := $(CARGO_TARGET_DIR)/debug/kvmsh
RELEASE := $(CARGO_TARGET_DIR)/release/kvmsh
SCRIPTS := tests/lab/demo tools/build-deps tools/run-tests .ci/run benches/storage

# The practice cluster needs root. Cargo does not, and must not leave root's files behind: it runs as you are and starts
# only the test programs through sudo.
ifneq ($(shell id -u),0)
SUDO := sudo -E -H env -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_STATE_HOME -u XDG_DATA_HOME PATH="$$PATH" \
	CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" RUSTUP_HOME="$${RUSTUP_HOME:-$$HOME/.rustup}"
RUNNER := CARGO_TARGET_$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER='$(SUDO)'
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build lab-parts ## build kvmsh and show it at work on a practice cluster of two hosts
	@$(SUDO) tests/lab/demo "$(DEBUG)"

.PHONY: test
test: lint lab-parts vm-parts ## lint, then all tests, on real libvirt daemons, SSH servers and guests
	$(CARGO) test --locked --lib --bins
	$(CARGO) test --locked --doc
	$(RUNNER) CARGO="$(CARGO)" tools/run-tests --skip nodes::
	@# Whole Debian nodes in QEMU keep both processors busy: they come after what measures time.
	$(RUNNER) CARGO="$(CARGO)" tools/run-tests nodes:: --test-threads=3

.PHONY: lab
lab: build lab-parts lab-down ## a practice cluster that stays, to play with
	@$(SUDO) tests/lab/demo "$(DEBUG)" --keep "$(LAB)"

.PHONY: lab-down
lab-down: ## take the practice cluster down, with all it left
	@$(SUDO) tests/lab/lab down "$(LAB)"

.PHONY: bench
bench: build-parts lab-parts ## speed, side by side with virsh (make bench ARGS=--strict: fail where a goal is missed)
	$(RUNNER) $(CARGO) bench --locked --bench side_by_side -- $(ARGS)
	$(CARGO) bench --locked --bench prompt -- $(filter --strict,$(ARGS))

.PHONY: lint
lint: build-parts ## formatting, clippy, shellcheck, and the dependencies' licences and sources
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	shellcheck $(SCRIPTS)
	shellcheck -s sh src/ops/*.sh src/ops/*/*.sh
	cd tests/lab && shellcheck -x -a lab vm guest/init vmlib/initrd-init
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		echo $(CARGO) deny check; $(CARGO) deny --offline check licenses bans sources; \
	else \
		echo "(no cargo-deny here: tests/it/deps.rs checks licences, bans and sources)"; \
	fi

.PHONY: build
build: build-parts ## build target/debug/kvmsh
	$(CARGO) build --locked

.PHONY: release
release: build-parts ## build target/release/kvmsh, smaller and faster; takes longer
	$(CARGO) build --locked --release

.PHONY: install
install: release ## install program, manual page, completions and scripts (PREFIX=/usr/local, DESTDIR=)
	install -D -m 755 "$(RELEASE)" "$(DESTDIR)$(PREFIX)/bin/kvmsh"
	install -d "$(DESTDIR)$(PREFIX)/share/kvmsh/scripts"
	install -m 755 scripts/*.rhai "$(DESTDIR)$(PREFIX)/share/kvmsh/scripts/"
	"$(RELEASE)" man | install -D -m 644 /dev/stdin "$(DESTDIR)$(PREFIX)/share/man/man1/kvmsh.1"
	"$(RELEASE)" completions bash | \
		install -D -m 644 /dev/stdin "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvmsh"
	"$(RELEASE)" completions zsh | \
		install -D -m 644 /dev/stdin "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvmsh"
	"$(RELEASE)" completions fish | \
		install -D -m 644 /dev/stdin "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kvmsh.fish"

.PHONY: uninstall
uninstall: ## remove what install has put there
	rm -f "$(DESTDIR)$(PREFIX)/bin/kvmsh" "$(DESTDIR)$(PREFIX)/share/man/man1/kvmsh.1" \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvmsh" \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvmsh" \
		"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kvmsh.fish"
	rm -rf "$(DESTDIR)$(PREFIX)/share/kvmsh"

.PHONY: build-parts
build-parts:
	@tools/build-deps

.PHONY: lab-parts
lab-parts:
	@tests/lab/lab install

# The tests run on whole machines, too.
.PHONY: vm-parts
vm-parts:
	@tests/lab/vm install
