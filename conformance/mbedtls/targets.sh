#!/usr/bin/env bash
# Builds the peer as a target of fuzzers, with the address and undefined-behaviour
# sanitizers, and prints the path of the program.
#
#   targets.sh ENGINE [--mode] [--planted] [--src DIRECTORY]
#
#   live        another program is the other end, or files are replayed (gcc or clang)
#   libfuzzer   clang's fuzzer
#   afl         AFL++ in persistent mode
#   coverage    as live, writes a profile for llvm-cov (clang)
#
# --mode is the mode of fuzzers: nothing is encrypted, and any signature is accepted.
# --planted adds the bugs of planted/, of which ATTLS_PLANTED=NUMBER chooses one.
# The exit status is 3 when something that is needed cannot be had here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.sh"

engine=${1:-}
[ $# -eq 0 ] || shift
config=config.h
planted=
source=
while [ $# -gt 0 ]; do
  case $1 in
    --mode) config=config-mode.h ;;
    --planted) planted=1 ;;
    --src)
      [ $# -ge 2 ] && [ -d "$2" ] || { echo "targets.sh: --src needs a directory" >&2; exit 2; }
      source=$(cd "$2" && pwd)
      check_source "$source"
      shift
      ;;
    *) echo "targets.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

sanitizers=address,undefined
checks=(-fno-omit-frame-pointer -fno-sanitize-recover=undefined)
main=peer
case $engine in
  live)
    cc=gcc
    compile=(-fsanitize=$sanitizers)
    link=(-fsanitize=$sanitizers)
    main=live
    ;;
  libfuzzer)
    cc=clang
    compile=(-fsanitize=fuzzer-no-link,$sanitizers "-fsanitize-coverage-ignorelist=$here/fuzz/uninstrumented")
    link=(-fsanitize=fuzzer,$sanitizers)
    ;;
  afl)
    cc=afl-clang-fast
    compile=(-fsanitize=$sanitizers)
    link=(-fsanitize=fuzzer,$sanitizers)
    export AFL_QUIET=1 AFL_LLVM_DENYLIST=$here/fuzz/uninstrumented
    ;;
  coverage)
    cc=clang
    compile=(-fprofile-instr-generate -fcoverage-mapping)
    link=("${compile[@]}")
    checks=()
    main=live
    ;;
  *)
    echo "usage: targets.sh live|libfuzzer|afl|coverage [--mode] [--planted] [--src DIRECTORY]" >&2
    exit 2
    ;;
esac
need $cc make patch tar bzip2 flock
if [ $cc = clang ] && ! echo 'int main(void) { return 0; }' | clang -x c "${link[@]/fuzzer,/}" -o /dev/null - 2> /dev/null; then
  echo "targets.sh: clang cannot link ${link[*]}: its libraries of sanitizers are missing (libclang-rt-14-dev or another version)" >&2
  exit 3
fi
flags=(-O1 -g "${checks[@]}" "-DMBEDTLS_USER_CONFIG_FILE=\"$here/fuzz/$config\"")
[ -z "$planted" ] || flags+=(-DATTLS_PLANTED -iquote "$here/peer")

key=$(cd "$here" && { cat targets.sh source.sh patches/* config.h fuzz/config*.h fuzz/uninstrumented; [ -z "$planted" ] || cat planted/*.patch peer/planted.h; } |
  sha256sum | cut -c1-12)
tree=$cache/fuzz-$(source_key "$source")-$key-$engine-${config%.h}${planted:+-planted}
files=("$here"/fuzz/{fixed,target,$main}.c "$here/../exporters/lines.c")
for file in "$here"/peer/*.c; do
  case ${file##*/} in
    main.c | command.c) ;;
    *) files+=("$file") ;;
  esac
done
[ -z "$planted" ] || files+=("$here/planted/planted.c")
program=$tree/target-$(cat "${files[@]}" "$here"/fuzz/*.h "$here"/peer/*.h "$here"/peer/codepoints/*.h | sha256sum | cut -c1-12)

# library: the patched tree with static libraries, made next to its place and moved.
new=
library() {
  mkdir -p "$cache"
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  source_tree "$new" "$source"
  apply_patches "$new"
  [ -z "$planted" ] || apply_patches "$new" planted
  make -s -j"$(nproc)" GEN_FILES= CC=$cc CFLAGS="${flags[*]//\"/\\\"} ${compile[*]}" -C "$new/library" static
  rm -rf "$tree"
  mv "$new" "$tree"
  trap - EXIT
}

if [ ! -x "$program" ]; then
  lock "$tree"
fi
[ -f "$tree/library/libmbedtls.a" ] || library >&2
if [ ! -x "$program" ]; then
  $cc -std=c11 -D_GNU_SOURCE -Wall -Wextra "${flags[@]}" "${compile[@]}" -I"$here/peer" -I"$here/../exporters" \
    -isystem "$tree/include" -isystem "$tree/library" "${files[@]}" "${link[@]}" -Wl,--wrap=time -o "$tree/new-target" \
    -L"$tree/library" -lmbedtls -lmbedx509 -lmbedcrypto >&2
  mv "$tree/new-target" "$program"
fi
echo "$program"
