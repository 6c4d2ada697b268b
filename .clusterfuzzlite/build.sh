#!/usr/bin/env bash
# Builds every native target of the tree with the Go recipe of OSS-Fuzz, each with seeds, a
# dictionary and options beside it: f.Add is not called there. It runs in a shell as well, where
# compile_native_go_fuzzer_v2 and OUT are given. Arguments are targets, such as fuzz/FuzzEngine;
# without any, all are built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." 2>/dev/null || true
[ -f go.mod ] || cd "$SRC/attls"

# Inputs of the seeds and of the corpora, in the form that these targets read.
seeds=$(mktemp -d)
trap 'rm -rf "$seeds" "${work:-}"' EXIT
targets=$(grep -rn --include='*_test.go' '^func Fuzz' . |
    sed -n 's#^\./\(.*\)/[^/]*:[0-9]*:func \(Fuzz[A-Za-z0-9_]*\)(.*#\1/\2#p' | sort)
[ $# -eq 0 ] || targets=$(printf '%s\n' "$@")
for directory in $(for target in $targets; do dirname "$target"; done | sort -u); do
    functions=$(for target in $targets; do
        [ "$(dirname "$target")" != "$directory" ] || basename "$target"
    done | paste -sd '|')
    ATTLS_WRITE_SEEDS="$seeds/$(echo "$directory" | tr / _)" go test -count=1 -run "^($functions)\$" "./$directory"
done

# The recipe makes one package of a directory and its test files, where a test may be of another
# package. A copy of the tree has one alone: tests beside those of a target are left out, and a
# target of such a package moves to a directory of its own, with what the package shows to tests.
# A coverage build is an ordinary test program, and shows the files where they are.
if [[ ${SANITIZER:-address} != *coverage* ]]; then
    work=$(mktemp -d)
    tar --exclude=./.git -cf - . | tar -xf - -C "$work"
    cd "$work"
    go list -f '{{.Dir}} {{.Name}} {{join .TestGoFiles ","}} {{join .XTestGoFiles ","}}.' ./... > "$seeds/packages"
    while IFS=' ' read -r directory name inside outside; do
        outside=${outside%.}
        [ -n "$outside" ] || continue
        cd "$directory"
        # shellcheck disable=SC2046
        if grep -q '^func Fuzz' $(echo "$outside" | tr , ' '); then
            mkdir libfuzzer
            echo 'package libfuzzer' > libfuzzer/package.go
            for file in ${outside//,/ }; do
                sed "s/^package ${name}_test\$/package libfuzzer/" "$file" > "libfuzzer/$file"
            done
            for file in ${inside//,/ }; do
                mv "$file" "${file%_test.go}_shown.go"
            done
        fi
        rm ${outside//,/ }
    done < <(sed 's/  / , /' "$seeds/packages")
    cd "$work"
fi

for target in $targets; do
    directory=$(dirname "$target")
    function=$(basename "$target")
    name=$(echo "$target" | tr / _)
    place=$directory
    [ ! -d "$directory/libfuzzer" ] || place=$directory/libfuzzer
    compile_native_go_fuzzer_v2 "attls/$place" "$function" "$name"
    # The recipe prints a line and succeeds where it does not find a function.
    [ -e "$OUT/$name" ] || { echo "$target was not built" >&2; exit 1; }
    cp fuzz/attls.dict "$OUT/$name.dict"
    largest=4096
    if [ -d "$seeds/$(echo "$directory" | tr / _)/$function" ]; then
        (cd "$seeds/$(echo "$directory" | tr / _)/$function" && zip -q "$OUT/${name}_seed_corpus.zip" -r .)
        largest=$(cd "$seeds/$(echo "$directory" | tr / _)/$function" && find . -type f -printf '%s\n' | sort -n | tail -n 1)
    fi
    printf '[libfuzzer]\nmax_len = %d\ntimeout = 20\n' $((largest > 16384 ? largest : 16384)) > "$OUT/$name.options"
done
# Recordings that targets read besides their inputs.
mkdir -p "$OUT/testdata"
cp conformance/capture/testdata/*.pcap conformance/capture/testdata/*.keys "$OUT/testdata"
