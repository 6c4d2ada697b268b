# The tasks of the project; "make help" lists them. Everything works without make as well: see the commands.

# The build must not depend on where the tree is, nor on the state of git.
export GOFLAGS ?= -buildvcs=false -trimpath

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
DEADCODE      = golang.org/x/tools/cmd/deadcode@v0.52.0
FUZZ_TIME    ?= 10s

COMMIT = $(shell git rev-parse HEAD 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help build test test-quick slow corpora race lint deadcode spec interop pages wireshark workbench fuzz release api picture

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./attls, which knows its commit
	go build -ldflags "-X attls/conformance/claims.commit=$(COMMIT)" -o attls ./cmd/attls

test: ## run all tests (some minutes)
	go test ./...

test-quick: ## run the tests of the library and the comparison of the exported API
	go test . ./attestation/... ./extensions/... ./internal/... ./negotiation/... ./record/...

slow: ## run the tests that "go test ./..." leaves out since they take long
	ATTLS_SLOW=1 go test -count=1 -run '^TestSlow' ./...

corpora: ## see whether the corpora of the native fuzz targets still run the code that they did
	go run ./fuzz/corpora check

race: ## run all tests with the race detector (many minutes)
	go test -race -timeout 30m ./...

lint: ## gofmt, go vet for Linux, macOS and Windows, golangci-lint (building it takes minutes the first time)
	@files=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$files" ] || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	go vet ./...
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./...
	go run $(GOLANGCI_LINT) run --timeout 15m ./...

deadcode: ## list functions that neither programs nor tests call
	go run $(DEADCODE) -test ./...

spec: ## generate SPEC.md and the other generated files, and prove that each case can fail
	go generate ./...
	go run ./cmd/attls spec --prove

interop: ## meet other stacks: OpenSSL, GnuTLS, NSS and the patched mbedTLS where they are installed
	ATTLS_INTEROP=full go test -count=1 -run 'Test(GnuTLS|NSS|OpenSSLSessions)$$' ./handshake
	go run ./cmd/attls conform --faults

pages: ## try the pages of reports in headless Chromium; pictures go to ATTLS_PICTURES
	cd conformance/report/browsertest && go test -count=1 ./...

wireshark: ## let tshark read captures of every profile with its dissector
	ATTLS_TSHARK=all go test -count=1 ./conformance/wireshark

workbench: ## write the page of "attls workbench" to dist/workbench, for any static host or --engine
	go run ./cmd/attls workbench --export dist/workbench

fuzz: ## run each native fuzz target for FUZZ_TIME (10s)
	@go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r package directory; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$directory"/*_test.go); do \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1x "$$package" || exit 1; \
	  done; \
	done

release: ## build attls for Linux, macOS and Windows into dist, with SHA256SUMS
	./release.sh dist

picture: ## draw docs/demo.svg, the picture of README.md
	COLUMNS=96 go run ./cmd/attls demo | go run ./internal/documents/picture > docs/demo.svg.new
	mv docs/demo.svg.new docs/demo.svg

api: ## write docs/api.txt, the list of exported names, anew
	go test ./internal/api -run TestAPI -count=1 -update
