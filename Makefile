# Fullspan. Everything here works on a fresh Debian 12 machine with Node 20, as root; what is missing is installed.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

BUILD_PACKAGES := make gcc libc6-dev clang-14 bpftool libbpf-dev libelf-dev zlib1g-dev
SHOP_PACKAGES := iproute2 iptables nginx-light mariadb-server-core mariadb-client-core redis-server redis-tools dnsmasq-base python3 python3-pymysql
TEST_PACKAGES := $(SHOP_PACKAGES) curl libssl3 procps util-linux
KERNEL_PACKAGES := qemu-system-x86 busybox-static cpio gcc libc6-dev dpkg
BENCH_PACKAGES := nginx-light wrk tcpdump bpftool gcc libc6-dev
CONFIG ?=

run: build ## build and start with pipeline.config.json (CONFIG=FILE for another)
	node dist/cli/main.js run $(if $(CONFIG),--config $(CONFIG))

demo: build ## one request through a small shop in network namespaces, as a tree (needs root)
	.ci/install-packages $(SHOP_PACKAGES)
	node dist/examples/shop/demo.js

build: node_modules/.package-lock.json probe ## compile; afterwards `npx fullspan` works here
	npm run --silent build
	chmod +x dist/cli/main.js
	ln -sf ../../dist/cli/main.js node_modules/.bin/fullspan

# Without the compiler or the rights to install it, everything but eBPF works.
probe:
	if .ci/install-packages $(BUILD_PACKAGES); then $(MAKE) --no-print-directory -C bpf; \
	else echo "make: the eBPF probe was not built; Fullspan runs without eBPF." >&2; fi

test: build ## all tests (ONLY=part of a path for some); what cannot run here skips with its reason
	.ci/install-packages $(TEST_PACKAGES) || true
	node .ci/test.js $(ONLY)

test-kernels: build ## the probe on Debian's own kernels, in virtual machines: some minutes
	.ci/install-packages $(KERNEL_PACKAGES)
	FULLSPAN_KERNELS=1 node .ci/test.js kernels/

bench: build ## benchmarks (PART=model for one)
	.ci/install-packages $(BENCH_PACKAGES) || true
	npm run --silent bench -- $(PART)

check: build ## formatting, lint, dead code, generated docs
	npm run --silent check

clean: ## what was built
	rm -rf dist bpf/build .tap

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund
	touch $@

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.PHONY: run demo build probe test test-kernels bench check clean help
