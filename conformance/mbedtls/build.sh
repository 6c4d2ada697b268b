#!/usr/bin/env bash
# Builds mbedTLS with our patches, and our peer, and prints the path of the peer.
#
#   build.sh [--asan] [--src DIRECTORY] [--library]
#
# The source is Debian's package, fetched with apt without touching the system's
# own sources, or a tree of your own with --src (mbedTLS 3.6, unpatched; it is
# copied). --asan builds with the address and undefined-behaviour sanitizers.
# --library prints the directory of the patched source tree instead.
# Everything stays in the user's cache directory, under a name that is made of
# the hash of our files, so that a second call has nothing to do.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
package=mbedtls
suite=trixie
version=3.6.6
sha256=8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a

variant=plain
source=
print=peer
while [ $# -gt 0 ]; do
  case $1 in
    --asan) variant=asan ;;
    --library) print=tree ;;
    --src)
      [ $# -ge 2 ] || { echo "build.sh: --src needs a directory" >&2; exit 2; }
      source=$(cd "$2" && pwd)
      shift
      ;;
    *) echo "build.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/mbedtls
key=$(cd "$here" && { cat build.sh patches/* config.h; } | sha256sum | cut -c1-12)
name=$version-$key-$variant
[ -z "$source" ] || name=src-$(echo "$source" | sha256sum | cut -c1-8)-$key-$variant
out=$cache/$name
peer=$(cd "$here" && cat peer/*.[ch] peer/codepoints/*.h | sha256sum | cut -c1-12)
peer=$out/mbedtls-peer-$peer

for tool in gcc make patch tar bzip2; do
  [ -x "$peer" ] || command -v $tool > /dev/null || { echo "build.sh: $tool is needed" >&2; exit 3; }
done

flags="-O1"
[ $variant = plain ] || flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
config="-DMBEDTLS_USER_CONFIG_FILE='\"$here/config.h\"'"

# library: a patched tree with static libraries, made beside its place and moved.
library() {
  local new
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  if [ -n "$source" ]; then
    cp -r "$source/." "$new"
  else
    debian_source "$cache" $package $suite ${package}_$version.orig.tar.bz2 $sha256
    tar -xf "$cache/${package}_$version.orig.tar.bz2" -C "$new" --strip-components=1
  fi
  while read -r patch; do
    patch -s -d "$new" -p1 < "$here/patches/$patch"
  done < "$here/patches/series"
  make -s -j"$(nproc)" GEN_FILES= CFLAGS="$flags -Wall -Wextra $config" -C "$new/library" static
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
}

[ -f "$out/library/libmbedtls.a" ] || library >&2
if [ ! -x "$peer" ]; then
  eval gcc -std=c11 -D_GNU_SOURCE "$flags" -Wall -Wextra "$config" -I"$here/peer" \
    -isystem "$out/include" -isystem "$out/library" "$here"/peer/*.c -o "$peer.new" \
    -L"$out/library" -lmbedtls -lmbedx509 -lmbedcrypto >&2
  mv "$peer.new" "$peer"
fi
case $print in
  peer)
    touch "$peer" # what was asked for last is the one that attls finds
    echo "$peer"
    ;;
  tree) echo "$out" ;;
esac
