#!/usr/bin/env bash
# Builds the programs with which OpenSSL, GnuTLS and NSS lend the exporters of their
# connections, with the libraries that are installed, and prints their directory.
#
#   build.sh [--asan]
#
# The libraries are Debian's libssl-dev, libgnutls28-dev and libnss3-dev; a program whose
# library is missing is not built, which is said. Everything stays in the user's cache
# directory, so that a second call has nothing to do. The exit status is 3 when none can
# be built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"

flags=(-O1)
variant=plain
if [ "${1:-}" = --asan ]; then
  variant=asan
  flags=(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elif [ $# -gt 0 ]; then
  echo "build.sh: unknown option $1" >&2
  exit 2
fi
for tool in gcc pkg-config flock; do
  command -v $tool > /dev/null || { echo "build.sh: $tool is needed" >&2; exit 3; }
done

libraries="openssl gnutls nss"
versions=$(for library in $libraries; do echo "$library $(pkg-config --modversion $library 2> /dev/null || true)"; done)
key=$( (cat "$here"/*.[ch] "$here/build.sh"; echo "$versions") | sha256sum | cut -c1-12)
out=${XDG_CACHE_HOME:-$HOME/.cache}/attls/exporters/$key-$variant
lock "$out"
mkdir -p "$out"
built=0
for library in $libraries; do
  if [ -x "$out/$library" ]; then
    built=1
    continue
  fi
  if ! pkg-config --exists $library; then
    echo "build.sh: the development files of $library are not installed" >&2
    continue
  fi
  # Warnings in the headers of a library are its own.
  gcc -std=c11 -D_GNU_SOURCE "${flags[@]}" -Wall -Wextra "$here/main.c" "$here/lines.c" "$here/$library.c" -o "$out/$library.new" \
    $(pkg-config --cflags $library | sed 's/-I/-isystem /g') $(pkg-config --libs $library) >&2
  mv "$out/$library.new" "$out/$library"
  built=1
done
[ $built = 1 ] || { rmdir "$out"; exit 3; }
touch "$out" # what was asked for last is what attls finds
echo "$out"
