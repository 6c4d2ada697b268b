#!/usr/bin/env bash
# Builds BoringSSL's TLS test runner ("BoGo") and prints the directory that holds
# it: the binary "runner", the list of its tests "tests.json", the flags that it
# knows "flags", and the certificates that it needs.
#
#   fetch.sh [--src DIRECTORY]
#
# The source is Debian's package, fetched with apt through a private state that
# leaves the system's own alone, or a tree of your own with --src, such as a clone
# of BoringSSL. Everything stays in the user's cache directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
package=android-platform-external-boringssl
suite=trixie
version=14.0.0+r45
sha256=f9223e8c15ad5d9e3f1cd50861f4c272658864661e2332bea5d60952aa0930cd

source=
while [ $# -gt 0 ]; do
  case $1 in
    --src)
      [ $# -ge 2 ] && [ -f "$2/ssl/test/runner/runner.go" ] || { echo "fetch.sh: --src needs a tree of BoringSSL" >&2; exit 2; }
      source=$(cd "$2" && pwd)
      shift
      ;;
    *) echo "fetch.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
[ -z "$source" ] || version=src-$(cd "$source" && find go.mod go.sum ssl/test/runner util/testresult -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/bogo
key=$(cat "$here/fetch.sh" "$here/list.go" | sha256sum | cut -c1-12)
out=$cache/$version-$key
if [ -f "$out/tests.json" ]; then
  echo "$out"
  exit 0
fi
for tool in go tar; do
  command -v $tool > /dev/null || { echo "fetch.sh: $tool is needed" >&2; exit 3; }
done
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$source" ]; then
  mkdir "$work/src"
  tar -C "$source" -cf - go.mod go.sum ssl/test/runner util/testresult | tar -xf - -C "$work/src"
else
  tarball=${package}_$version.orig.tar.xz
  debian_source "$cache" $package $suite "$tarball" $sha256
  tar -xf "$cache/$tarball" -C "$work" --strip-components=1 --wildcards \
    '*/src/go.mod' '*/src/go.sum' '*/src/ssl/test/runner/*' '*/src/util/testresult/*'
fi
cd "$work/src/ssl/test/runner"
# The runner tells nothing of its tests but their names, so a test of ours is
# built into it. It needs what main calls before it runs tests: the functions that
# make keys and certificates, and those that fill the list of tests.
calls=$(sed -n '/^func main() {/,/^}/s/^\t\(\(init\|add\)[A-Za-z0-9]*()\)$/\1;/p' runner.go | tr -d '\n')
! grep -q '\btmpDir, err = ' runner.go || calls="tmpDir = t.TempDir();$calls" # for certificates
sed "/^\/\/go:build ignore$/d; s|//FILL.*|$calls|" "$here/list.go" | gofmt > attls_test.go
GOFLAGS="-mod=mod -trimpath -buildvcs=false" go test -c -o runner . >&2
ATTLS_BOGO_LIST=$PWD/tests.json ./runner -test.run '^TestList$' > /dev/null
./runner -help 2>&1 | sed -n 's/^ *\(-[a-z][a-z0-9-]*\).*/\1/p' > flags
rm -rf "$out.new"
mkdir "$out.new"
cp runner tests.json flags ./*.pem "$out.new/"
rm -rf "$out"
mv "$out.new" "$out"
echo "$out"
