#!/usr/bin/env bash
# Builds every native target of the tree with the Go recipe of OSS-Fuzz, with seeds and a
# dictionary beside it: f.Add is not called there. It runs in a shell as well, where
# compile_native_go_fuzzer_v2 and OUT are given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." 2>/dev/null || true
[ -f go.mod ] || cd "$SRC/attls"

seeds=$(mktemp -d)
ATTLS_WRITE_SEEDS="$seeds" go test -run '^TestWriteSeeds$' -count=1 ./fuzz

grep -rn --include='*_test.go' '^func Fuzz' . | sort | while IFS=: read -r file _ text; do
    function=${text#func }
    function=${function%%(*}
    directory=$(dirname "$file")
    directory=${directory#./}
    target=$(echo "$directory" | tr '/' '_')_$function
    compile_native_go_fuzzer_v2 "attls/$directory" "$function" "$target"
    cp fuzz/attls.dict "$OUT/$target.dict"
    printf '[libfuzzer]\nmax_len = 16384\ntimeout = 20\n' > "$OUT/$target.options"
    if [ "$directory" = fuzz ] && [ -d "$seeds/$function" ]; then
        (cd "$seeds/$function" && zip -q "$OUT/${target}_seed_corpus.zip" ./*)
    fi
done
rm -rf "$seeds"
