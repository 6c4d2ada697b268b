# The trees that build.sh and test.sh work on. To be sourced; needs here, the
# directory of this file.
. "$here/../debian-source.sh"
package=mbedtls
suite=trixie
version=3.6.6
sha256=8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a
cache=${XDG_CACHE_HOME:-$HOME/.cache}/attls/mbedtls
switches="MBEDTLS_SSL_CUSTOM_EXTENSIONS MBEDTLS_SSL_CERTIFICATE_TYPES MBEDTLS_SSL_HANDSHAKE_SECRETS
  MBEDTLS_SSL_HANDSHAKE_MESSAGES_CALLBACK MBEDTLS_SSL_KEY_SCHEDULE_EXPORT MBEDTLS_SSL_CUSTOM_MESSAGES
  MBEDTLS_SSL_HELLO_VALUES MBEDTLS_SSL_OWN_CERTIFICATE_CALLBACK MBEDTLS_SSL_EXTENDED_KEY_UPDATE"

# need COMMAND...: that they are here.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "${0##*/}: $tool is needed" >&2; return 3; }
  done
}

# check_source DIRECTORY: that it is a tree that the patches can be meant for.
check_source() {
  local found switch
  found=$(sed -n 's/^#define MBEDTLS_VERSION_STRING  *"\(.*\)"/\1/p' "$1/include/mbedtls/build_info.h" 2> /dev/null) || true
  case $found in
    3.6.*) ;;
    '') echo "${0##*/}: $1 is not a source tree of mbedTLS 3.6" >&2; return 2 ;;
    *) echo "${0##*/}: $1 is mbedTLS $found; the patches are for 3.6" >&2; return 2 ;;
  esac
  for switch in $switches; do
    if grep -qw "$switch" "$1/include/mbedtls/mbedtls_config.h"; then
      echo "${0##*/}: $1 has $switch already; a tree without our patches is needed" >&2
      return 2
    fi
  done
  if [ ! -f "$1/library/error.c" ]; then
    echo "${0##*/}: $1 lacks the generated files (library/error.c); run make generated_files there, or take a release" >&2
    return 2
  fi
}

# source_key DIRECTORY: a name for what is in a tree; the version for "".
source_key() {
  [ -n "$1" ] || { echo "$version"; return; }
  echo "src-$(cd "$1" && find 3rdparty include library -name '*.[ch]' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)"
}

# source_tree DIRECTORY SOURCE: put the sources there, of SOURCE, or of Debian's
# package where that is empty.
source_tree() {
  mkdir -p "$1" || return
  if [ -n "$2" ]; then
    check_source "$2" && cp -r "$2/." "$1" &&
      find "$1" -name '*.[oa]' -delete # they know nothing of our switches
    return
  fi
  debian_source "$cache" $package $suite ${package}_$version.orig.tar.bz2 $sha256 &&
    tar -xf "$cache/${package}_$version.orig.tar.bz2" -C "$1" --strip-components=1
}

# apply_patches DIRECTORY [SERIES]: all of them, or those of another series, or an error that
# names patch and file.
apply_patches() {
  local patch log
  while read -r patch; do
    log=$(patch -f -d "$1" -p1 < "$here/${2:-patches}/$patch" 2>&1) && continue
    echo "${0##*/}: $patch does not apply:" >&2
    echo "$log" | awk '
      /^patching file /{ file = $3 }
      /FAILED at/ { print "  " file ": " $0 }
      /find file to patch/ { lacking = 1 }
      /^\|\+\+\+ / && lacking { sub("^b/", "", $2); print "  " $2 ": it is not there"; lacking = 0 }' >&2
    return 1
  done < "$here/${2:-patches}/series"
}
