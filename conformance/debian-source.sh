# Fetches Debian packages, the tarball of a source package or a binary one, through
# a private state of apt that leaves the system's own alone. To be sourced.

# lock PATH: wait until no other script makes something in the directory of PATH,
# which is what is locked until this script ends.
lock() {
  mkdir -p "$(dirname "$1")"
  exec 9< "$(dirname "$1")"
  flock 9
}

# debian_source DIRECTORY PACKAGE SUITE FILE SHA256: have DIRECTORY/FILE with
# that hash. The mirror and its key are the ones that the system itself uses.
debian_source() {
  local directory=$1 package=$2 suite=$3 file=$1/$4 sha256=$5
  if ! echo "$sha256  $file" | sha256sum --check --status 2> /dev/null; then
    command -v apt-get > /dev/null || { echo "apt-get is needed to fetch $package" >&2; return 3; }
    mkdir -p "$directory"
    debian_source_fetch "$file" "$package" "$suite" >&2 || return 3
    echo "$sha256  $file" | sha256sum --check --status || {
      echo "$file is not the archive that is expected" >&2
      return 1
    }
  fi
}

# The file is fetched beside its place and moved: other scripts may read it.
debian_source_fetch() {
  local file=$1 package=$2 suite=$3 state status=0
  state=$(mktemp -d "$(dirname "$file")/new.XXXXXX")
  debian_state "$state" deb-src "$suite"
  "${debian_apt[@]}" update &&
    (cd "$state" && "${debian_apt[@]}" source --download-only --tar-only "$package") &&
    mv "$state/$(basename "$file")" "$file" || status=$?
  rm -rf "$state"
  return $status
}

# debian_binary DIRECTORY PACKAGE SUITE: unpack a binary package and all that it
# depends on into DIRECTORY, without installing anything. apt checks the hashes. What
# the package says of itself is in the file DIRECTORY/package.
debian_binary() {
  local directory=$1 package=$2 suite=$3 state status=0 archive
  command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || { echo "apt-get is needed to fetch $package" >&2; return 3; }
  state=$(mktemp -d)
  debian_state "$state" deb "$suite"
  "${debian_apt[@]}" update &&
    "${debian_apt[@]}" install -y --no-install-recommends --download-only "$package" || status=3
  if [ $status -eq 0 ]; then
    for archive in "$state"/cache/archives/*.deb; do
      dpkg-deb -x "$archive" "$directory" || status=$?
    done
    dpkg-deb -f "$state"/cache/archives/"$package"_*.deb > "$directory/package" || status=$?
  fi
  rm -rf "$state"
  return $status
}

# debian_state STATE TYPE SUITE: a private state of apt in the directory STATE, for
# the archive of a suite; the array debian_apt is the command that uses it.
debian_state() {
  local state=$1 type=$2 suite=$3 system
  mkdir -p "$state"/{parts,preferences,lists,cache/archives/partial,state}
  : > "$state/status"
  system=$(grep -ls '^Types:' /etc/apt/sources.list.d/debian.sources || true)
  {
    printf 'Types: %s\nSuites: %s\nComponents: main\n' "$type" "$suite"
    if [ -n "$system" ]; then
      grep -m1 '^URIs:' "$system"
      grep -m1 '^Signed-By:' "$system" || true
    else
      awk '$1 == "deb" && $0 ~ /debian/ { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print "URIs: " $i; exit } }' /etc/apt/sources.list || true
    fi
  } > "$state/parts/debian.sources"
  debian_apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/parts"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$state/preferences"
    -o Dir::State="$state/state" -o Dir::State::Lists="$state/lists" -o Dir::State::Status="$state/status"
    -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root)
}
