#!/usr/bin/env bash
# Builds wolfSSL's example programs client and server, and prints the directory that
# holds scripts of these names, which run them.
#
#   programs.sh [VERSION]      5.5.4, 5.7.2 (the default) or 5.9.2
#
# The sources are Debian's packages, of 12, 13 and unstable, of which the last goes away
# when a newer one comes. Everything stays in the user's cache directory, and a second
# call has nothing to do. user_settings.h says what is built in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
version=${1:-5.7.2}
case $version in
  5.5.4) suite=bookworm sha256=b7ee150e49def77c765bc02aac92ddeb0bebefd4cb12aa263d8f95e405221fb8 ;;
  5.7.2) suite=trixie sha256=0f2ed82e345b833242705bbc4b08a2a2037a33f7bf9c610efae6464f6b10e305 ;;
  5.9.2) suite=sid sha256=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114 ;;
  *) echo "programs.sh: there are 5.5.4, 5.7.2 and 5.9.2, not $version" >&2; exit 2 ;;
esac
archive=wolfssl_$version.orig.tar.gz

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/wolfssl
key=$(cat "$here/user_settings.h" "$here/programs.sh" | sha256sum | cut -c1-12)
out=$cache/$version
lacking() { [ "$(cat "$out/key" 2> /dev/null)" != "$key" ]; }
if lacking; then
  for tool in gcc tar gzip flock xargs; do
    command -v $tool > /dev/null || { echo "programs.sh: $tool is needed" >&2; exit 3; }
  done
  lock "$out"
fi
if lacking; then
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  debian_source "$cache" wolfssl $suite $archive $sha256
  mkdir "$new/source" "$new/objects" "$new/certs"
  tar -xf "$cache/$archive" -C "$new/source" --strip-components=1
  flags="-O1 -w -DWOLFSSL_USER_SETTINGS -I$here -I."
  # Files that another one includes are not compiled by themselves.
  (
    cd "$new/source"
    for file in src/*.c wolfcrypt/src/*.c; do
      case $file in
        */misc.c | */evp.c | */evp_pk.c | */bio.c | */conf.c | */pk.c | */pk_*.c | */x509.c | */x509_*.c | */ssl_*.c | */sniffer.c) ;;
        *) echo "$file" ;;
      esac
    done | xargs -P"$(nproc)" -I{} sh -c "gcc $flags -c {} -o ../objects/\$(echo {} | tr / _).o" >&2
    for program in client server; do
      gcc $flags examples/$program/$program.c ../objects/*.o -lm -lpthread -o ../$program.bin >&2
    done
    cp certs/*.pem ../certs/ # by which the programs know their root
  )
  rm -rf "$new/source" "$new/objects"
  for program in client server; do
    printf '#!/bin/sh\ncd "$(dirname "$0")" && exec ./%s.bin "$@"\n' $program > "$new/$program"
    chmod 755 "$new/$program"
  done
  echo "$key" > "$new/key"
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
fi
echo "$out"
