#!/usr/bin/env bash
# release.sh [DIRECTORY]: build attls for Linux, macOS and Windows into a directory (dist),
# with SHA256SUMS. The same commit and version of Go give the same octets on any machine:
# the binaries contain the commit, but no path, time or state of the tree.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-dist}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}

[ -z "$(git status --porcelain --untracked-files=no)" ] || {
  echo "release.sh: commit your changes first; the binaries name the commit they are built from" >&2
  exit 1
}
commit=$(git rev-parse HEAD)
# What is built is the commit, whatever somebody edits meanwhile.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
git archive "$commit" | tar -x -C "$tree"
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$tree"
version=$(sed -n 's/^const Release = "\(.*\)"$/\1/p' conformance/claims/claims.go)
[ -n "$version" ] || { echo "release.sh: conformance/claims/claims.go names no release" >&2; exit 1; }

# Nothing of the caller's environment may change the result.
export CGO_ENABLED=0 GOFLAGS= GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0
rm -f "$out"/attls-* "$out/SHA256SUMS"
# The engine of the workbench for browsers is part of each program.
engine=conformance/workbench/site/engine
mkdir -p "$engine" "$tree/cache"
XDG_CACHE_HOME=$tree/cache GOCACHE=$(go env GOCACHE) go run ./cmd/attls workbench --export "$tree/site"
cp "$tree/site/attls.wasm.gz" "$tree/site/wasm_exec.js" "$engine"
for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/}
  name=attls-$version-$os-$arch
  [ "$os" != windows ] || name=$name.exe
  GOOS=$os GOARCH=$arch go build -tags attls_workbench -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X attls/conformance/claims.commit=$commit" -o "$out/$name" ./cmd/attls
  echo "$out/$name"
done
cd "$out"
sha256sum attls-* > SHA256SUMS
echo "$out/SHA256SUMS"
