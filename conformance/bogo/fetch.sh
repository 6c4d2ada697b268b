#!/usr/bin/env bash
# Builds BoringSSL's TLS test runner ("BoGo") out of Debian's source package
# and prints the directory that holds it: the binary "runner", the list of its
# tests "tests.json", and the certificates that it needs. The package is
# fetched with apt, through a private state that leaves the system's own alone.
# Everything stays in the user's cache directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
package=android-platform-external-boringssl
suite=trixie
version=14.0.0+r45
sha256=f9223e8c15ad5d9e3f1cd50861f4c272658864661e2332bea5d60952aa0930cd

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/bogo
key=$(cat "$here/fetch.sh" "$here/list.go" | sha256sum | cut -c1-12)
out=$cache/$version-$key
if [ -f "$out/tests.json" ]; then
  echo "$out"
  exit 0
fi
for tool in apt-get go tar; do
  command -v $tool > /dev/null || { echo "fetch.sh: $tool is needed" >&2; exit 3; }
done
tarball=${package}_$version.orig.tar.xz
debian_source "$cache" $package $suite "$tarball" $sha256

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$cache/$tarball" -C "$work" --strip-components=1 --wildcards \
  '*/src/go.mod' '*/src/go.sum' '*/src/ssl/test/runner/*' '*/src/util/testresult/*'
cd "$work/src/ssl/test/runner"
# The runner tells nothing of its tests but their names, so a test of ours is
# built into it. It needs the functions that fill the list of tests.
sed "/^\/\/go:build ignore$/d; s|//FILL.*|$(sed -n '/^func main() {/,/^}/s/^\t\(add[A-Za-z0-9]*Tests()\)$/\1;/p' runner.go | tr -d '\n')|" \
  "$here/list.go" | gofmt > attls_test.go
GOFLAGS="-mod=mod -trimpath -buildvcs=false" go test -c -o runner . >&2
ATTLS_BOGO_LIST=$PWD/tests.json ./runner -test.run '^TestList$' > /dev/null
rm -rf "$out.new"
mkdir "$out.new"
cp runner tests.json ./*.pem "$out.new/"
rm -rf "$out"
mv "$out.new" "$out"
echo "$out"
