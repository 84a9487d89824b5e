# One target for every chore. `make run` and `make test` need nothing but apt.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run cluster test lint sim fuzz bench docs release web sdk interop \
	test-rust test-js setup-build setup-test setup-lint lint-rust lint-js \
	bench-quality bench-peers soak

# What `setup.sh` puts beside the tree comes first, so that what the system has too old is not used;
# rustup's place comes last, for a shell that was open when it was installed.
TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/node_modules/.bin:$(TOOLS)/rust/bin:$(PATH):$(HOME)/.cargo/bin

# Extra words for the server, such as ARGS=--lan.
ARGS ?=
# A seed for `make sim`, a target for `make fuzz`.
SEED ?=
T ?=

SDK := signaling/js
WEB := server/web/app
CONSOLE := server/web/console
INTEROP := loadtest/interop
# Packages as the lock file says, fetched where it has changed since; npm leaves a stamp of its own.
fetched = { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-fund --no-audit; }
# Crates with benches.
BENCHED := media-rtp media-bwe media-core troupe

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: setup-build web ## build everything and start a server for development
	cargo build --release --locked -p troupe -p media-codec
	exec ./target/release/troupe serve --dev $(ARGS)

cluster: setup-build web ## etcd and three workers on this machine
	cargo build --locked -p troupe -p media-codec
	control-plane/deploy/cluster.sh

test: setup-test sdk web test-rust test-js interop ## everything, real browsers included

# In debug, since assertions are half of the tests. Their build makes the binaries, too: any smaller
# one has other features of what they stand on, and would compile most of it once more.
test-rust:
	if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace --locked; \
	else cargo test --workspace --locked --lib --bins --tests; fi
	cargo test --workspace --locked --doc --quiet

test-js: sdk
	cd $(SDK) && npm test
	if [ -f $(WEB)/package.json ]; then cd $(WEB) && npm test --if-present; fi
	cd $(CONSOLE) && npm test

interop: sdk
	if [ -f $(INTEROP)/package.json ]; then \
	  cargo test --workspace --locked --lib --bins --tests --no-run --quiet && \
	  cd $(INTEROP) && $(fetched) && npm test; \
	fi

lint: setup-lint lint-rust lint-js ## formatters, clippy, cargo deny, tsc, ESLint

lint-rust: web
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --config .cargo/deny.toml check bans licenses sources
	server/advisories.sh
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

lint-js: sdk
	cd $(SDK) && npm run check && npm run lint
	if [ -f $(WEB)/package.json ]; then cd $(WEB) && npm run lint --if-present; fi
	cd $(CONSOLE) && npm run lint
	if [ -f $(INTEROP)/package.json ]; then \
	  cd $(INTEROP) && $(fetched) && npm run lint; fi

sim: ## whole rooms in virtual time; SEED=7 for one seed
	$(if $(SEED),SEED=$(SEED)) cargo test --locked -p sim --tests -- --nocapture

fuzz: ## grow the corpus of one parser, as T=rtp_header; needs nightly and cargo-fuzz
	@[ -n "$(T)" ] || { echo "name a target: make fuzz T=rtp_header" >&2; exit 1; }
	cd loadtest/fuzz/libfuzzer && TROUPE_FUZZ_TARGET=$(T) \
	  cargo +nightly fuzz run --fuzz-dir . any ../corpus/$(T) -- -max_total_time=300

bench: ## all benchmarks; their table goes into docs/performance.md
	rm -rf target/criterion
	cargo build --release --locked -p troupe -p loadtest
	for crate in $(BENCHED); do cargo bench --locked -p $$crate --benches || exit 1; done
	loadtest/bench-table.sh --write

# Troupe and Janus under the same load; SUBSCRIBERS=200 ROUNDS=5 for more.
bench-peers:
	cargo build --release --locked -p troupe -p loadtest
	loadtest/peers.sh --write

# MINUTES of coming and going; whether memory or missed deadlines grow.
soak:
	cargo build --release --locked -p troupe -p loadtest
	loadtest/soak.sh $(or $(MINUTES),60)

# Writes docs/quality.md and its plots anew; the figures follow from the seeds.
bench-quality:
	cargo run --locked -p sim --bin troupe-quality -- docs "$$(git rev-parse --short HEAD)"

docs: ## the crates' documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@echo "open $(CURDIR)/target/doc/troupe_server/index.html"

release: setup-build web ## the binaries as they ship
	cargo build --release --locked -p troupe -p media-codec
	@ls -l target/release/troupe target/release/troupe-codec

sdk: setup-build ## the TypeScript client
	cd $(SDK) && $(fetched) && npm run build

web: sdk ## the pages that the binary embeds
	if [ -f $(WEB)/package.json ]; then \
	  cd $(WEB) && $(fetched) && npm run build; fi
	cd $(CONSOLE) && $(fetched) && npm run build

setup-build:
	@server/setup.sh build

setup-test: setup-build
	@server/setup.sh test

setup-lint: setup-build
	@server/setup.sh lint
