#!/usr/bin/env bash
# Builds mbedTLS's own ssl_client2 and ssl_server2 without our patches, and prints
# the directory that holds them.
#
# The source is Debian's package, as for build.sh; it stays in the user's cache
# directory, and a second call has nothing to do. The makefile of the programs
# generates files with python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
version=3.6.6
sha256=8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a
archive=mbedtls_$version.orig.tar.bz2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/mbedtls
out=$cache/$version-unpatched
programs=$out/programs/ssl
lacking() { [ ! -x "$programs/ssl_client2" ] || [ ! -x "$programs/ssl_server2" ]; }
if lacking; then
  for tool in gcc make tar bzip2 python3 flock; do
    command -v $tool > /dev/null || { echo "programs.sh: $tool is needed" >&2; exit 3; }
  done
  lock "$out"
fi
if lacking; then
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  debian_source "$cache" mbedtls trixie $archive $sha256
  tar -xf "$cache/$archive" -C "$new" --strip-components=1
  make -s -j"$(nproc)" GEN_FILES= CFLAGS=-O1 -C "$new/library" static >&2
  make -s -j"$(nproc)" GEN_FILES= CFLAGS=-O1 -C "$new/programs" ssl/ssl_client2 ssl/ssl_server2 >&2
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
fi
echo "$programs"
