#!/usr/bin/env bash
# Fetches the openssl of Debian 13 (3.5: raw public keys, ML-KEM), to stand beside the
# system's own, and prints the path of a script that runs it.
#
#   fetch.sh [--update]
#
# The packages are fetched with apt and unpacked in the user's cache directory;
# nothing is installed. The program runs under the C library that comes with it.
# A second call has nothing to do; --update fetches what Debian has now.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"
suite=trixie

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/openssl
out=$cache/$suite
update=${1:-}
wanted() { [ ! -x "$out/openssl" ] || [ "$update" = --update ]; }
if wanted; then lock "$out"; fi
if wanted; then
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  debian_binary "$new/root" openssl $suite >&2
  loader=$(cd "$new/root" && find usr/lib* -name 'ld-linux*.so.*' | head -n 1)
  libraries=$(cd "$new/root" && find usr/lib -name 'libssl.so.3' -printf '%h' -quit)
  [ -n "$loader" ] && [ -n "$libraries" ] || { echo "fetch.sh: the packages hold no loader or no libssl" >&2; exit 1; }
  cat > "$new/openssl" << END
#!/bin/sh
root=\$(dirname "\$0")/root
OPENSSL_CONF=\$root/etc/ssl/openssl.cnf OPENSSL_MODULES=\$root/$libraries/ossl-modules
export OPENSSL_CONF OPENSSL_MODULES
exec "\$root/$loader" --library-path "\$root/$libraries" "\$root/usr/bin/openssl" "\$@"
END
  chmod 755 "$new" "$new/openssl"
  "$new/openssl" version >&2
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
fi
echo "$out/openssl"
