#!/usr/bin/env bash
# Builds mbedTLS with our patches, and our peer, and prints the path of the peer.
#
#   build.sh [--asan] [--src DIRECTORY] [--library]
#
# The source is Debian's package, fetched with apt without touching the system's
# own sources, or a tree of your own with --src (mbedTLS 3.6 without our patches;
# it is copied). --asan builds with the address and undefined-behaviour
# sanitizers. --library prints the directory of the patched source tree instead.
# Everything stays in the user's cache directory, under a name that is made of
# the hash of our files and of yours, so that a second call has nothing to do.
# The exit status is 3 when something that is needed cannot be had here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.sh"

variant=plain
source=
print=peer
while [ $# -gt 0 ]; do
  case $1 in
    --asan) variant=asan ;;
    --library) print=tree ;;
    --src)
      [ $# -ge 2 ] && [ -d "$2" ] || { echo "build.sh: --src needs a directory" >&2; exit 2; }
      source=$(cd "$2" && pwd)
      check_source "$source"
      shift
      ;;
    *) echo "build.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

key=$(cd "$here" && { cat build.sh source.sh patches/* config.h; } | sha256sum | cut -c1-12)
out=$cache/$(source_key "$source")-$key-$variant
peer=$(cd "$here" && cat peer/*.[ch] peer/codepoints/*.h ../exporters/lines.[ch] | sha256sum | cut -c1-12)
peer=$out/mbedtls-peer-$peer
if [ ! -x "$peer" ]; then
  need gcc make patch tar bzip2 flock
  lock "$out"
fi

flags=(-O1)
[ $variant = plain ] || flags=(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined)

# library: a patched tree with static libraries, made beside its place and moved.
new=
library() {
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  source_tree "$new" "$source"
  apply_patches "$new"
  make -s -j"$(nproc)" GEN_FILES= CFLAGS="${flags[*]} -Wall -Wextra -DMBEDTLS_USER_CONFIG_FILE='\"$here/config.h\"'" -C "$new/library" static
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
}

[ -f "$out/library/libmbedtls.a" ] || library >&2
if [ ! -x "$peer" ]; then
  gcc -std=c11 -D_GNU_SOURCE "${flags[@]}" -Wall -Wextra "-DMBEDTLS_USER_CONFIG_FILE=\"$here/config.h\"" -I"$here/peer" -I"$here/../exporters" \
    -isystem "$out/include" -isystem "$out/library" "$here"/peer/*.c "$here/../exporters/lines.c" -o "$out/new-peer" \
    -L"$out/library" -lmbedtls -lmbedx509 -lmbedcrypto >&2
  mv "$out/new-peer" "$peer"
fi
case $print in
  peer)
    touch "$peer" # what was asked for last is the one that attls finds
    echo "$peer"
    ;;
  tree) echo "$out" ;;
esac
