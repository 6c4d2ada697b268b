#!/usr/bin/env bash
# Builds BoringSSL's TLS test runner ("BoGo") out of Debian's source package
# and prints the directory that holds it: the binary "runner", the list of its
# tests "tests.json", and the certificates that it needs. The package is
# fetched with apt, through a private state that leaves the system's own alone.
# Everything stays in the user's cache directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
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
mkdir -p "$cache"
tarball=$cache/${package}_$version.orig.tar.xz

checked() { echo "$sha256  $tarball" | sha256sum --check --status 2> /dev/null; }

fetch() {
  local state system
  state=$(mktemp -d)
  mkdir -p "$state"/{parts,preferences,lists,cache,state}
  : > "$state/status"
  # The mirror and its key are the ones that the system itself uses.
  system=$(grep -ls '^Types:' /etc/apt/sources.list.d/debian.sources || true)
  {
    printf 'Types: deb-src\nSuites: %s\nComponents: main\n' "$suite"
    if [ -n "$system" ]; then
      grep -m1 '^URIs:' "$system"
      grep -m1 '^Signed-By:' "$system" || true
    else
      awk '$1 == "deb" && $0 ~ /debian/ { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print "URIs: " $i; exit } }' /etc/apt/sources.list
    fi
  } > "$state/parts/source.sources"
  local options=(-qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/parts"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$state/preferences"
    -o Dir::State="$state/state" -o Dir::State::Lists="$state/lists" -o Dir::State::Status="$state/status"
    -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$cache" && apt-get "${options[@]}" source --download-only --tar-only "$package")
  rm -rf "$state"
}

checked || fetch >&2
checked || { echo "fetch.sh: $tarball is not the archive that is expected" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$tarball" -C "$work" --strip-components=1 --wildcards \
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
