# Fetches the tarball of a Debian source package, through a private state of apt
# that leaves the system's own alone. To be sourced.
#
# debian_source DIRECTORY PACKAGE SUITE FILE SHA256: have DIRECTORY/FILE with
# that hash. The mirror and its key are the ones that the system itself uses.
debian_source() {
  local directory=$1 package=$2 suite=$3 file=$1/$4 sha256=$5
  if ! echo "$sha256  $file" | sha256sum --check --status 2> /dev/null; then
    command -v apt-get > /dev/null || { echo "apt-get is needed to fetch $package" >&2; return 3; }
    mkdir -p "$directory"
    debian_source_fetch "$directory" "$package" "$suite" >&2 || return 3
    echo "$sha256  $file" | sha256sum --check --status || {
      echo "$file is not the archive that is expected" >&2
      return 1
    }
  fi
}

debian_source_fetch() {
  local directory=$1 package=$2 suite=$3 state system status=0
  state=$(mktemp -d)
  mkdir -p "$state"/{parts,preferences,lists,cache,state}
  : > "$state/status"
  system=$(grep -ls '^Types:' /etc/apt/sources.list.d/debian.sources || true)
  {
    printf 'Types: deb-src\nSuites: %s\nComponents: main\n' "$suite"
    if [ -n "$system" ]; then
      grep -m1 '^URIs:' "$system"
      grep -m1 '^Signed-By:' "$system" || true
    else
      awk '$1 == "deb" && $0 ~ /debian/ { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print "URIs: " $i; exit } }' /etc/apt/sources.list
    fi
  } > "$state/parts/source.sources"
  local options=(-qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/parts"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$state/preferences"
    -o Dir::State="$state/state" -o Dir::State::Lists="$state/lists" -o Dir::State::Status="$state/status"
    -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update &&
    (cd "$directory" && apt-get "${options[@]}" source --download-only --tar-only "$package") || status=$?
  rm -rf "$state"
  return $status
}
