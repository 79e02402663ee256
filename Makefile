# Run "make help" for the targets.

include .versions

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Binaries are static and need no C compiler; only the race detector does.
export CGO_ENABLED := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null)
STAMP   := -X main.version=$(VERSION) -X main.dateBuilt=$(DATE)
LDFLAGS := -s -w $(STAMP)

# The tag core leaves out every component that talks to a system of its own:
# seconds instead of minutes to compile. Tests use it too.
CORE := -tags core

# The race detector needs a C compiler on Linux. RACE= switches it off.
RACE ?= $(if $(shell command -v "$$(go env CC)" 2>/dev/null),-race)

TOOLS := $(CURDIR)/.tools
LINT  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GORELEASER  := $(TOOLS)/goreleaser-$(GORELEASER_VERSION)/goreleaser
ACTIONLINT  := $(TOOLS)/actionlint-$(ACTIONLINT_VERSION)/actionlint
HELM        := $(TOOLS)/helm-$(HELM_VERSION)/helm
KUBECONFORM := $(TOOLS)/kubeconform-$(KUBECONFORM_VERSION)/kubeconform
PYTHON      := $(TOOLS)/python/bin/python

# PKG and RUN narrow a test run: make test PKG=./plugin/internal/chat RUN=Pass
PKG ?= ./...
RUN ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Read chats from a sandbox and print their messages
	@echo "Building; with nothing compiled yet this takes a minute or two." >&2
	@$(MAKE) --silent build-core build-sandbox >&2
	@go run ./internal/demo

# TAGS takes in what is in no build by itself: make build TAGS=elasticsearch_v9
TAGS ?=

.PHONY: build
build: ## Build bin/kommo-connect with all components but elasticsearch_v9, which TAGS takes in
	go build -tags "$(TAGS)" -ldflags "$(LDFLAGS)" -o bin/kommo-connect ./cmd/kommo-connect

.PHONY: build-core
build-core: ## Build bin/kommo-connect-core: no Kafka, no search engines, no databases
	go build $(CORE) -ldflags "$(LDFLAGS)" -o bin/kommo-connect-core ./cmd/kommo-connect

.PHONY: build-sandbox
build-sandbox: ## Build bin/kommo-sandbox
	go build -ldflags "$(LDFLAGS)" -o bin/kommo-sandbox ./cmd/kommo-sandbox

.PHONY: test
test: ## Run the tests that need only Go
ifeq ($(RACE),)
	@echo "make test: no C compiler found, so the race detector is off" >&2
	go test $(CORE) -shuffle=on -timeout 10m -run '$(RUN)' $(PKG)
else
	CGO_ENABLED=1 go test $(CORE) $(RACE) -shuffle=on -timeout 10m -run '$(RUN)' $(PKG)
endif

# DEEP is how many cases of each property and how many runs of the simulator.
DEEP ?= 100000

.PHONY: test-deep
test-deep: ## Check each property and both simulators DEEP times: hours
	go test $(CORE) -count=1 -timeout 0 -run 'TestPass|TestTalk|TestReader|TestCheck' ./plugin/internal/chat ./plugin/internal/reader -rapid.checks=$(DEEP) -rapid.nofailfile
	go test $(CORE) -count=1 -timeout 0 ./plugin/message -rapid.checks=$(DEEP) -rapid.nofailfile
	go test $(CORE) -count=1 -timeout 0 ./plugin/internal/replay -rapid.checks=$(DEEP) -rapid.nofailfile
	KOMMO_SIM_RUNS=$(DEEP) go test $(CORE) -count=1 -timeout 0 -v -run 'TestSimulator$$' ./plugin/chathistory
	KOMMO_SIM_RUNS=$(DEEP) go test $(CORE) -count=1 -timeout 0 -v -run 'TestSimulator$$' ./plugin/talkhistory

.PHONY: test-families
test-families: build ## Test the full binary: every component, every shipped config
	KOMMO_CONNECT_BIN=$(CURDIR)/bin/kommo-connect go test $(CORE) -count=1 ./cmd/kommo-connect

.PHONY: integration
integration: build build-sandbox ## Run the examples against real servers; integration/README.md says what it needs
	go test -tags integration -count=1 -p 1 -timeout 60m -run '$(RUN)' ./integration/...

.PHONY: bench
bench: ## Print the benchmark figures as ratios with their targets; takes some twenty minutes
	go run $(CORE) ./bench

.PHONY: fmt
fmt: $(LINT)/golangci-lint ## Format the Go files
	$(LINT)/golangci-lint fmt

.PHONY: lint
lint: $(LINT)/golangci-lint ## Check format, vet and lint
	@out=$$(gofmt -l .) || exit 1; \
	if [ -n "$$out" ]; then echo "gofmt: run make fmt for:" >&2; echo "$$out" >&2; exit 1; fi
	go vet -tags core,integration ./...
	$(LINT)/golangci-lint run

$(LINT)/golangci-lint:
	GOBIN=$(LINT) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(GORELEASER):
	GOBIN=$(@D) go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)

$(ACTIONLINT):
	GOBIN=$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

.PHONY: release-check
release-check: $(GORELEASER) $(ACTIONLINT) ## Check what releases are made of, and the workflows
	$(GORELEASER) check
	$(ACTIONLINT)

.PHONY: snapshot
snapshot: $(GORELEASER) ## Build dist/ for this machine as a release would; KOMMO_TAGS=core: the light binary
	$(GORELEASER) build --snapshot --single-target --clean

# Most licences ask that their texts go along with a binary.
.PHONY: notices
notices: ## Write bin/NOTICES.txt, the licences of all that the full binary contains
	@mkdir -p bin
	@go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... | sort -u | \
	while read -r module version dir; do \
		printf '\n=== %s %s\n' "$$module" "$$version"; \
		find "$$dir" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | xargs -r cat; \
	done > bin/NOTICES.txt

$(HELM):
	GOBIN=$(@D) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

$(KUBECONFORM):
	GOBIN=$(@D) go install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION)

$(PYTHON): requirements.txt
	python3 -m venv $(TOOLS)/python
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	@touch $@

CHART := deploy/helm/kommo-connect

.PHONY: chart-check
chart-check: $(HELM) $(KUBECONFORM) $(PYTHON) ## Lint and render the Helm chart, and validate what it renders
	@crds=$$(go mod download -json github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR_VERSION) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/example/prometheus-operator-crd && \
	$(PYTHON) deploy/helm/schemas.py $(KUBERNETES_VERSION) "$$crds/monitoring.coreos.com_podmonitors.yaml" dist/schemas
	@for values in $(CHART)/ci/*.yaml; do \
		$(HELM) lint --strict --quiet --kube-version $(KUBERNETES_VERSION) --values $$values $(CHART) && \
		$(HELM) template release --kube-version $(KUBERNETES_VERSION) --values $$values $(CHART) > dist/rendered.yaml && \
		$(KUBECONFORM) -strict -summary -schema-location 'dist/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json' dist/rendered.yaml || exit 1; \
	done

.PHONY: site
site: $(PYTHON) ## Build the documentation as a site in dist/site; a link that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

.PHONY: recording
recording: ## Draw docs/assets/demo.svg from two runs of make demo
	@mkdir -p dist
	@rm -rf .demo
	@$(MAKE) --silent demo > dist/demo-1 2>&1
	@$(MAKE) --silent demo > dist/demo-2 2>&1
	python3 docs/recording.py dist/demo-1 dist/demo-2 > docs/assets/demo.svg

.PHONY: docs
docs: ## Write the reference pages from the component specs
	go run ./internal/refdocs -dir docs/reference

.PHONY: docs-check
docs-check: ## Fail if the reference pages are stale
	go run ./internal/refdocs -dir docs/reference -check

.PHONY: clean
clean: ## Remove what was built and the demo's checkpoints
	rm -rf bin dist .demo
