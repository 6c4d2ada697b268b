#!/usr/bin/env bash
# Measures which lines of the library and the peer the inputs of a corpus run, over time.
#
#   coverage.sh [--mode] CAMPAIGN CORPUS...
#
# CAMPAIGN is the directory of attls fuzz run, for which attls fuzz report makes a page with what
# is written to CAMPAIGN/coverage; CORPUS, directories of inputs, of the mode of fuzzers with
# --mode. An input counts from the moment at which its file was made. The exit status is 3 when
# clang, its runtime or llvm-cov is not here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.sh"
mode=
if [ "${1:-}" = --mode ]; then
  mode=--mode
  shift
fi
[ $# -ge 2 ] && [ -f "$1/target/0/variants" ] || {
  echo "usage: coverage.sh [--mode] CAMPAIGN CORPUS..., where CAMPAIGN is of attls fuzz run mbedtls-server" >&2
  exit 2
}
campaign=$1
shift
need clang llvm-profdata llvm-cov find sort split
program=$("$here/targets.sh" coverage $mode)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$@" -maxdepth 1 -type f -size -256k -printf '%T@ %p\n' | sort -n > "$work/inputs"
[ -s "$work/inputs" ] || { echo "coverage.sh: there is no input in $*" >&2; exit 2; }
began=$(head -1 "$work/inputs" | cut -d. -f1)
split -n l/8 "$work/inputs" "$work/part."
mkdir -p "$campaign/coverage"
merged=
for part in "$work"/part.??; do
  [ -s "$part" ] || continue
  cut -d' ' -f2- "$part" | LLVM_PROFILE_FILE="$work/raw.%p" xargs -d '\n' -n 256 "$program" "$campaign/target/0" > /dev/null
  llvm-profdata merge -sparse $merged "$work"/raw.* -o "$work/next"
  rm -f "$work"/raw.*
  mv "$work/next" "$work/merged"
  merged=$work/merged
  seconds=$(($(tail -1 "$part" | cut -d. -f1) - began))
  llvm-cov export -summary-only -instr-profile "$merged" "$program" > "$campaign/coverage/c-$seconds.json"
done
