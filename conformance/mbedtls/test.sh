#!/usr/bin/env bash
# Runs mbedTLS's own tests on the tree with our patches, switches off and on.
#
#   test.sh [--asan] [--quick] [--ssl-opt] [--src DIRECTORY]
#
# Without options: the library builds without warnings in a number of
# configurations, and the test suites of TLS pass, those of the patches among
# them. --quick leaves it at the suites of the patches. --ssl-opt adds the tests
# of TLS 1.3 in ssl-opt.sh, with OpenSSL and GnuTLS where they are, whose results
# must be the same without the patches, with the switches off, and on: half an
# hour or more. --asan uses the address and undefined-behaviour sanitizers.
# It works in a directory of its own, needs python3 besides what build.sh needs,
# and exits with 3 when something that is needed cannot be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/source.sh"

flags="-O1 -Wall -Wextra -Werror"
quick=
ssl_opt=
source=
while [ $# -gt 0 ]; do
  case $1 in
    --asan) flags="$flags -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined" ;;
    --quick) quick=1 ;;
    --ssl-opt) ssl_opt=1 ;;
    --src)
      [ $# -ge 2 ] && [ -d "$2" ] || { echo "test.sh: --src needs a directory" >&2; exit 2; }
      source=$(cd "$2" && pwd)
      shift
      ;;
    *) echo "test.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
need gcc make patch tar bzip2 python3 perl

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suites="test_suite_ssl_custom_ext test_suite_ssl_cert_types test_suite_ssl_handshake_secrets
  test_suite_ssl_handshake_messages test_suite_ssl_key_schedule_export test_suite_ssl_custom_msg
  test_suite_ssl_hello_values test_suite_ssl_own_cert_cb test_suite_ssl_compatibility_mode
  test_suite_ssl_extended_key_update"

# config NAME LINE...: a configuration on top of the default.
config() {
  local name=$1
  shift
  printf '%s\n' "$@" > "$work/$name.h"
}
on=()
for switch in $switches; do on+=("#define $switch"); done
config off
config on "${on[@]}" "#define MBEDTLS_TEST_HOOKS"

# tree NAME CONFIG [unpatched]: a copy of the sources under a name.
tree() {
  source_tree "$work/$1" "$source"
  [ -n "${3:-}" ] || apply_patches "$work/$1"
  echo "-DMBEDTLS_USER_CONFIG_FILE='\"$work/$2.h\"'" > "$work/$1.config"
}

# make_in TREE DIRECTORY TARGET...
make_in() {
  local tree=$1 directory=$2 log
  shift 2
  if ! log=$(make -s -j"$(nproc)" GEN_FILES= CFLAGS="$flags $(cat "$work/$tree.config")" -C "$work/$tree/$directory" "$@" 2>&1); then
    echo "$log" | tail -n 40
    return 1
  fi
}

# run_suites TREE SUITE...: build and run; one line each.
run_suites() {
  local tree=$1 name log status=0
  shift
  make_in "$tree" library static
  make_in "$tree" tests "$@"
  for name in "$@"; do
    log=$(cd "$work/$tree/tests" && "./$name" 2>&1) || status=1
    [ $status -eq 0 ] || echo "$log" | grep -v 'PASS$\|----$' || true
    echo "$tree: $name: $(echo "$log" | grep -E '^(PASSED|FAILED)' || echo "it crashed")"
    [ $status -eq 0 ] || return 1
  done
}

# compile CONFIG: the files that the patches touch, in one configuration.
compile() {
  local file
  for file in "$work"/on/library/ssl_*.c; do
    gcc $flags -fsyntax-only "-DMBEDTLS_USER_CONFIG_FILE=\"$work/$1.h\"" -I"$work/on/include" -I"$work/on/library" "$file"
  done
  echo "no warnings: $1"
}

# results TREE PORT: what ssl-opt.sh says of each test of TLS 1.3, but for the sample
# programs, which all use the same port.
results() {
  make_in "$1" library static
  make_in "$1" programs ssl/ssl_client2 ssl/ssl_server2 test/udp_proxy test/query_compile_time_config
  (cd "$work/$1/tests" && GNUTLS_NEXT_SERV=$(command -v gnutls-serv || true) sh ./ssl-opt.sh --port "$2" -f 'TLS 1\.3' -e '^Sample: ') > "$work/$1.log" 2>&1 || true
  grep -oE '^.*\.\.\. .*(PASS|FAIL|SKIP)$' "$work/$1.log" | sed 's/SERVER START TIMEOUT//' > "$work/$1.results" || true
  echo "$1: ssl-opt.sh: $(tail -n 1 "$work/$1.log")"
  [ -s "$work/$1.results" ]
}

tree on on
if [ -n "$quick" ]; then
  run_suites on $suites
  exit
fi

first=${switches%% *}
for switch in $switches; do config "only-$switch" "#define $switch"; done
config no-client "${on[@]}" "#undef MBEDTLS_SSL_CLI_C"
config no-server "${on[@]}" "#undef MBEDTLS_SSL_SRV_C"
config no-debug "${on[@]}" "#undef MBEDTLS_DEBUG_C"
config no-tls12 "${on[@]}" "#undef MBEDTLS_SSL_PROTO_TLS1_2" "#undef MBEDTLS_SSL_PROTO_DTLS"
config no-tls13 "${on[@]}" "#undef MBEDTLS_SSL_PROTO_TLS1_3"
config no-names "${on[@]}" "#undef MBEDTLS_SSL_SERVER_NAME_INDICATION" "#undef MBEDTLS_SSL_OWN_CERTIFICATE_CALLBACK"
config no-alpn "${on[@]}" "#undef MBEDTLS_SSL_ALPN"
config no-compatibility "${on[@]}" "#undef MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE"
config psa "${on[@]}" "#define MBEDTLS_USE_PSA_CRYPTO"
config psk-only "#define $first" "#define MBEDTLS_SSL_HANDSHAKE_SECRETS" "#undef MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED"
config fuzzer-mode "${on[@]}" "#define MBEDTLS_SSL_FUZZER_MODE" "#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG" "#undef MBEDTLS_NET_C"
for file in "$work"/*.h; do
  name=${file##*/}
  compile "${name%.h}"
done

printf '%s\n' "#define MBEDTLS_SSL_FUZZER_MODE" "#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG" > "$work/network.h"
if (compile network) > /dev/null 2>&1; then
  echo "the mode of fuzzers builds with the network" >&2
  exit 1
fi
own=$(cd "$work/on/tests/suites" && ls test_suite_ssl*.data | sed 's/\.data$//')
run_suites on $own
tree off off
run_suites off $own

if [ -n "$ssl_opt" ]; then
  config switches "${on[@]}"
  tree unpatched off unpatched
  tree switches-on switches
  status=0
  port=$((20000 + $$ % 2000))
  for name in unpatched off switches-on; do
    results $name $port &
    port=$((port + 2000))
  done
  wait
  for name in off switches-on; do
    diff "$work/unpatched.results" "$work/$name.results" || status=1
  done
  [ $status -eq 0 ] && echo "ssl-opt.sh: $(wc -l < "$work/unpatched.results") results, the same in all three"
  exit $status
fi
