# Two commands do it all: make demo and make test. make help lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## critique, revise, label, train and score our examples with a real local model
	@scripts/demo.sh

.PHONY: test
test: ## everything that is checked: build, vet, lint, tests in full and with -race, a real Ollama
	@scripts/test.sh

.PHONY: check
check: ## the fast part of make test: build, vet, lint, tests without a server
	@scripts/test.sh build lint unit

.PHONY: fuzz
fuzz: ## look for inputs that break a parser, FUZZTIME (5s) for each
	@scripts/test.sh fuzz

.PHONY: build
build: ## bin/cai, static, without cgo
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/cai .

.PHONY: fmt
fmt: ## format the code as make test wants it
	@scripts/test.sh fmt

.PHONY: clean
clean: ## remove what make has made here; the cache of servers and models stays
	rm -rf bin out
