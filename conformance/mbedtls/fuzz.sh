#!/usr/bin/env bash
# Runs parts of the peer over changed inputs for some seconds, with the address and
# undefined-behaviour sanitizers.
#
#   fuzz.sh SECONDS FILE...              the reader of compiled profiles, and what it takes
#   fuzz.sh each FILE...                 likewise, with each octet of the files cut, left out and changed
#   fuzz.sh --authenticators SECONDS     requests and authenticators of RFC 9261
#
# The files are of "attls profile compile". With clang and its runtime, libFuzzer makes the
# inputs; otherwise the target has a simple driver of its own. The exit status is 3 when
# something that is needed cannot be had here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=compiled
if [ "${1:-}" = --authenticators ]; then
  target=authenticator
  shift
fi
[ $# -ge 2 ] || { [ $target = authenticator ] && [ $# -eq 1 ]; } || {
  echo "usage: fuzz.sh SECONDS|each FILE... | fuzz.sh --authenticators SECONDS" >&2
  exit 2
}
seconds=$1
shift
tree=$("$here/build.sh" --library)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags=(-std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -fno-omit-frame-pointer -fno-sanitize-recover=undefined
  "-DMBEDTLS_USER_CONFIG_FILE=\"$here/config.h\"" -I"$here/peer" -isystem "$tree/include" -isystem "$tree/library")
names="codec codepoints compiled compiled_extensions compiled_frames compiled_later compiled_objects compiled_places compiled_rules compiled_slots connection document document_lines
  document_look document_types failure interpretation json loader meaning names nonce_field object object_cbor object_json object_read object_write octets program
  binder certificate spelling"
[ $target = compiled ] || names="authenticator authenticator_check authenticator_make octets"
sources=("$here/fuzz/$target.c")
for name in $names; do
  sources+=("$here/peer/$name.c")
done
libraries=(-L"$tree/library" -lmbedtls -lmbedx509 -lmbedcrypto)
# Whether clang is there, with its fuzzer.
libfuzzer() {
  command -v clang > /dev/null &&
    echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n ? 0 : 0; }' |
    clang -fsanitize=fuzzer,address,undefined -x c - -o "$work/try" 2> /dev/null
}
if [ "$seconds" != each ] && libfuzzer; then
  clang "${flags[@]}" -fsanitize=fuzzer,address,undefined "${sources[@]}" -o "$work/fuzz" "${libraries[@]}"
  mkdir "$work/corpus"
  [ $# -eq 0 ] || cp "$@" "$work/corpus"
  "$work/fuzz" -max_total_time="$seconds" -rss_limit_mb=1024 "$work/corpus"
else
  gcc "${flags[@]}" -fsanitize=address,undefined "${sources[@]}" -o "$work/fuzz" "${libraries[@]}"
  "$work/fuzz" "$seconds" "$@"
fi
