# Every target works on a clean clone with Go 1.26 only; `make help` lists them.
# .ci/run calls `make test` and adds no checks of its own.

GO        ?= go
BIN       ?= lintel
PACKAGES  ?= lintel lintel-memcached
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TOOL      := $(GO) tool -modfile=tools/go.mod
GOFILES    = $(shell git ls-files -co --exclude-standard '*.go')
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# How long each fuzz target runs: the two wire parsers, and every other one.
FUZZTIME      ?= 20s
FUZZTIME_REST ?= 3s
# How long the soak tests of the sockets and of the near cache run.
SOAK          ?= 60s
NEAR_SOAK     ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build bridge check test peers lint fmt unit unit32 race soak interop fuzz cross nested pictures bench-cache bench-zmq bench-go bench-client bench-feed bench-near bench-near-client near-soak abuse

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the binary (BIN=lintel)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/lintel

.PHONY: packages
packages: build ## build deb and rpm packages into dist/ (on Linux; for lintel-bridge: make bridge packages PACKAGES=lintel-bridge)
	cd deploy && $(GO) run ./packages -version $(VERSION) $(PACKAGES)

bridge: ## build lintel-bridge
	cd bridge/embedded && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(CURDIR)/lintel-bridge ./cmd/lintel-bridge

test: peers lint cross unit unit32 race soak near-soak nested fuzz ## all checks of .ci/run: peers, lint, cross builds, tests, 32 bits, -race, soak, fuzz
	@echo "make test: everything passed"

peers: ## install the third-party software of interop/ (Debian, as root; elsewhere it prints what is missing)
	@.ci/peers

lint: ## gofumpt, go vet, staticcheck, API compatibility
	@bad=$$($(TOOL) gofumpt -l $(GOFILES)); \
	if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(TOOL) staticcheck ./...
	CGO_ENABLED=0 $(GO) test -count=1 -run '^TestCompatible$$' ./internal/apitext

.PHONY: api
api: ## record the API of the public packages, which `make lint` compares with
	LINTEL_API=write $(GO) test -count=1 -run '^TestCompatible$$' ./internal/apitext

.PHONY: notice
notice: ## write NOTICE: the licences of what the programs contain
	LINTEL_NOTICE=write $(GO) test -count=1 -run '^TestNotice$$' ./internal

.PHONY: man
man: ## write the man pages and shell completions of deploy/ from the commands
	cd bridge/manual && $(GO) run . $(CURDIR)/deploy

fmt: ## format every Go file
	$(TOOL) gofumpt -w $(GOFILES)

check: ## for contributors: lint and unit tests, no root, no downloads, under 3 minutes
	@export GOFLAGS="$${GOFLAGS:+$$GOFLAGS }-mod=readonly" GOPROXY=off && $(MAKE) --no-print-directory lint unit
	@echo "make check: everything passed"

unit: ## the tests that need only Go
	CGO_ENABLED=0 $(GO) test $$($(GO) list ./... | grep -v '/interop')

# The packages that also work with 32-bit integers. The server needs 64 bits.
PACKAGES32 = ./zmq/... ./memcache/... ./internal/zmq/... ./internal/memcache/... ./internal/memcached/mcproto

unit32: ## the sockets and the cache client on 386 (run on amd64), vetted for arm
	CGO_ENABLED=0 GOARCH=arm $(GO) vet $(PACKAGES32)
	CGO_ENABLED=0 GOARCH=386 $(GO) vet $(PACKAGES32)
	@if [ "$$($(GO) env GOHOSTARCH)" = amd64 ]; then \
		CGO_ENABLED=0 GOARCH=386 $(GO) test $(PACKAGES32); \
	fi

race: ## every test with the race detector, the interop ones included
	$(GO) test -race -timeout 15m ./...

soak: ## 50 publishers and 200 subscribers that connect and disconnect, for SOAK (60s) under -race
	LINTEL_SOAK=$(SOAK) LINTEL_DUPLICATES=10000 $(GO) test -race -count=1 -run '^Test(DuplicateIdentity)?Soak$$' ./zmq

near-soak: ## near caches while servers and clients are killed, stopped, cut off and delayed, for NEAR_SOAK (20s)
	$(GO) test -count=1 -v -run '^TestSoak$$' ./nearcache -soak $(NEAR_SOAK)

interop: ## tests against third-party software: memcached, its clients, libzmq
	$(GO) test -count=1 -timeout 15m ./interop/...

.PHONY: compat
compat: ## the tests of pebbe/zmq4, go-zeromq and gomemcache on our packages with their API (downloads their modules)
	LINTEL_COMPAT=1 $(GO) test -count=1 -timeout 15m -run '^TestUpstream$$' ./compat/pebbe
	@GO='$(GO)' .ci/compat gozeromq gomemcache

fuzz: ## every fuzz target: FUZZTIME (20s) for the wire parsers, FUZZTIME_REST (3s) for the others
	@GO='$(GO)' .ci/fuzz '$(FUZZTIME)' '$(FUZZTIME_REST)'

cross: ## build for linux, darwin and windows on amd64 and arm64, without cgo, and vet the tests there
	@for p in $(PLATFORMS); do \
		echo "build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./... || exit 1; \
	done
	@for os in $(filter-out linux,$(sort $(foreach p,$(PLATFORMS),$(firstword $(subst /, ,$(p)))))); do \
		echo "vet $$os"; \
		CGO_ENABLED=0 GOOS=$$os $(GO) vet ./... || exit 1; \
	done

bench-zmq: ## our sockets beside libzmq, one table (gcc and libzmq3-dev; BENCH="-rounds 5 -cross")
	cd bench && $(GO) run ./zmqperf $(BENCH)

bench-go: ## our sockets beside go-zeromq and, with libzmq3-dev, pebbe/zmq4 (ROUNDS=6 BENCH=PushPull/transport=tcp)
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd bench && \
	$(GO) test -c -o "$$dir/sockets" $$(pkg-config --exists libzmq && echo -tags libzmq) . && \
	for i in $$(seq $(or $(ROUNDS),6)); do \
		"$$dir/sockets" -test.run '^$$' -test.bench '$(or $(BENCH),PushPull|PubSub|ReqRep|RouterDealer)' -test.benchtime 100ms >>"$$dir/out" || { cat "$$dir/out"; exit 1; }; \
	done && \
	cd .. && $(TOOL) benchstat -filter '.unit:sec/op' -col /peer "$$dir/out"

# The nested modules that users build, on every system.
CROSSNESTED = bridge bridge/embedded memcache/dskit memcache/zstd

nested: ## the nested modules: vet, tests, and each benchmark once
	@for m in $$(git ls-files '*/go.mod' | grep -v '^tools/' | xargs -r -n1 dirname); do \
		echo "module $$m"; \
		(cd $$m && $(GO) vet ./... && $(GO) test -run . -bench . -benchtime 1x ./...) || exit 1; \
	done
	@for m in $(CROSSNESTED); do \
		for os in $(filter-out linux,$(sort $(foreach p,$(PLATFORMS),$(firstword $(subst /, ,$(p)))))); do \
			echo "vet $$m for $$os"; \
			(cd $$m && CGO_ENABLED=0 GOOS=$$os $(GO) vet ./...) || exit 1; \
		done; \
	done

bench-cache: ## our cache server beside memcached, as ratios (PEER=memcached,pogocache BENCH="-rounds 9 -traces DIR -rows cpu")
	cd bench && CGO_ENABLED=0 $(GO) run ./serverperf $(if $(PEER),-peers $(PEER)) $(BENCH)

bench-client: ## our cache client beside gomemcache, one table (BENCH="-rounds 99 -rows ^get -server HOST:PORT")
	cd bench && $(GO) run ./cacheperf $(BENCH)

bench-feed: ## feeds beside plain PUB/SUB, one table (BENCH="-rounds 7 -rows publish")
	cd bench && $(GO) run ./feedperf $(BENCH)

bench-near: ## near caches: what the feed of invalidations costs the server, one table (BENCH="-rounds 7 -rows subscribers")
	cd bench && $(GO) run ./nearperf $(BENCH)

bench-near-client: ## a hit of the near cache beside otter and loopback, time to the drop, traces (BENCH="-traces DIR")
	cd bench && $(GO) run ./nearclient $(BENCH)

abuse: ## what a good client notices of attacks: the cache server beside memcached, sockets beside libzmq (BENCH="-rows PING")
	cd bench && $(GO) run ./abuse $(BENCH)

pictures: build ## draw the pictures of README and docs/ from the recorded results and the demonstrations
	@cd bench && $(GO) build -o "$(CURDIR)/plot" ./plot
	./plot bars docs/benchmarks >docs/images/performance.svg
	./$(BIN) demo squares --seed 1 | ./plot terminal 'lintel demo squares' >docs/images/demo.svg
	./$(BIN) demo pi --seed 7 --plot docs/images/pi.svg 2>/dev/null
	@rm plot
	.ci/screenshot ./$(BIN) docs/images/status.png

.PHONY: bridge-torture bench-bridge
bridge-torture: ## kill the bridge, its producers and workers about every second for TORTURE (5m)
	cd bridge/embedded && TORTURE=$(or $(TORTURE),5m) $(GO) test -count 1 -timeout 30m -v -run 'TestTorture|TestKilledWorker' ./cmd/lintel-bridge

bench-bridge: ## puts through the bridge beside nats.go, one table (BENCH="-time 5s -rows always")
	cd bridge/embedded && $(GO) run ./internal/bridgeperf $(BENCH)
