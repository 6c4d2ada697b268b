#!/usr/bin/env bash
# Fetches a TLS stack of another Debian than this machine's, to stand beside the system's
# own, and prints the directory that holds scripts which run its programs.
#
#   fetch.sh STACK [SUITE] [--update]
#
# STACK is openssl, gnutls, nss or botan, and SUITE trixie (Debian 13, the default),
# bookworm or sid. The packages are fetched with apt and unpacked in the user's cache
# directory; nothing is installed. The programs run under the C library that comes with
# them. A second call has nothing to do; --update fetches what Debian has now. Unpacked,
# openssl has 26 MB, nss 25, gnutls 37, and botan 41.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../debian-source.sh"

update= words=()
for word; do
  if [ "$word" = --update ]; then update=yes; else words+=("$word"); fi
done
stack=${words[0]:-} suite=${words[1]:-trixie}
case $stack in
  openssl) package=openssl programs=openssl ;;
  gnutls) package=gnutls-bin programs="gnutls-cli gnutls-serv" ;;
  nss) package=libnss3-tools programs="tstclnt selfserv certutil pk12util" ;;
  botan) package=botan programs=botan ;;
  *) echo "fetch.sh: there are openssl, gnutls, nss and botan, not \"$stack\"" >&2; exit 2 ;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/stacks
out=$cache/$stack-$suite
wanted() { [ ! -x "$out/version" ] || [ -n "$update" ]; }
if wanted; then lock "$out"; fi
if wanted; then
  new=$(mktemp -d "$cache/new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  debian_binary "$new/root" $package "$suite" >&2
  loader=$(cd "$new/root" && find usr/lib* -name 'ld-linux*.so.*' | head -n 1)
  libraries=$(cd "$new/root" && find usr/lib -name 'libc.so.6' -printf '%h' -quit)
  [ -n "$loader" ] && [ -n "$libraries" ] || { echo "fetch.sh: the packages hold no loader or no libc" >&2; exit 1; }
  for program in $programs; do
    file=$(cd "$new/root" && find usr -path "*/bin/$program" | sort | tail -n 1)
    [ -n "$file" ] || { echo "fetch.sh: the packages hold no $program" >&2; exit 1; }
    cat > "$new/$program" << END
#!/bin/sh
root=\$(dirname "\$0")/root
OPENSSL_CONF=\$root/etc/ssl/openssl.cnf OPENSSL_MODULES=\$root/$libraries/ossl-modules
export OPENSSL_CONF OPENSSL_MODULES
exec "\$root/$loader" --library-path "\$root/$libraries:\$root/$libraries/nss" \\
  "\$root/$file" "\$@"
END
  done
  # What the package says, for programs that do not.
  version=$(sed -n 's/^Version: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p' "$new/root/package")
  printf '#!/bin/sh\necho %s\n' "$version" > "$new/version"
  (cd "$new" && chmod 755 . version $programs)
  rm -rf "$out"
  mv "$new" "$out"
  trap - EXIT
fi
echo "$out"
