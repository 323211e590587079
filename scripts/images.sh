# shellcheck shell=bash
# Images, built once into the cache. scripts/setup sources this.
#
# A folder of images/ is an ordinary Containerfile, which names no registry and no setting of a site. Here it is built on
# a base that is made from this machine's package sources. What its package managers need on this machine (sources,
# proxies, certificates) is mounted while they run; nothing of it stays in the image.

# image NAME: images/NAME as an OCI archive, linked into localcloud's environment, where clusters/golden.py finds it.
image() {
  local name=$1 key cached link
  key=$(find "images/$name" -type f ! -name README.md -exec sha256sum {} + | sort | key_of build_image build_base)
  cached="$CACHE/images/$name-$key"
  link=localcloud/.venv/builds/images/$name
  [ -d "$cached" ] || build_image "$name" "$cached"
  touch "$cached"  # says when it was last used
  [ "$(readlink "$link")" != "$cached" ] || return 0
  mkdir -p "$(dirname "$link")"
  ln -sfn "$cached" "$link"
}

# driver_jars: what the image spark adds to PySpark's jars, linked beside those of .venv, for drivers in it.
driver_jars() {
  local jars=.venv/lib/python$PYTHON/site-packages/pyspark/jars added
  added=$(realpath localcloud/.venv/builds/images/spark)/jars
  [ "$(readlink "$jars/added")" != "$added" ] || return 0
  find "$jars" -type l -delete
  ln -s "$added"/*.jar "$jars"
  ln -s "$added" "$jars/added"  # the last: all are there
}

# key_of FUNCTION...: the key of what these make of standard input.
key_of() { cat - <(declare -f "$@") <(release) | sha256sum | cut -c1-16; }

# Says which release of Debian this machine has: so has the base, since that is what its package sources hold.
release() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# build_image NAME CACHED: in a subshell, which removes all that was needed on the way.
build_image() (
  name=$1 cached=$2 start=$SECONDS base="$CACHE/images/base-$(key_of build_base </dev/null)"
  say "building the image $name; the first time takes minutes"
  packages buildah mmdebstrap
  mkdir -p "$CACHE/images"
  work=$(mktemp -d "$CACHE/images/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  machine_settings "$work/machine"
  [ -d "$base" ] || retry build_base "$base"
  touch "$base"
  printf 'FROM scratch\nADD root.tar /\nCMD ["bash"]\n' >"$work/Containerfile"
  logged "$work" buildah_in "$work" bud --tag localhost/base --file "$work/Containerfile" "$base"
  build=(
    bud --layers --pull-never --isolation chroot --network host
    --build-arg BASE=localhost/base --build-arg MAVEN_OPTS=-Djavax.net.ssl.trustStore=/run/machine/cacerts
    --volume "$work/machine:/run/machine:ro" --volume "$work/machine/pip:/root/.config/pip:ro"
    --volume "$work/machine/maven:/root/.m2" --volume "$work/machine/apt.conf.d:/etc/apt/apt.conf.d:ro"
    --volume "$work/machine/auth.conf.d:/etc/apt/auth.conf.d:ro"
    --volume "$work/machine/sources.list.d:/etc/apt/sources.list.d:ro" --volume "$work/machine/cargo:/root/.cargo"
  )
  [ ! -f "$work/machine/ca-certificates.crt" ] ||
    build+=(--build-arg CARGO_HTTP_CAINFO=/run/machine/ca-certificates.crt)
  retry logged "$work" buildah_in "$work" "${build[@]}" --tag "localhost/$name" "images/$name"
  mkdir "$work/whole"
  if grep -q '^FROM .* AS jars$' "images/$name/Containerfile"; then  # by itself; its layers are there
    logged "$work" buildah_in "$work" "${build[@]}" --target jars --output "$work/whole/jars" "images/$name"
    chmod 755 "$work/whole/jars"
  fi
  version=$(sed -n "s/^ARG ${name^^}_VERSION=//p" "images/$name/Containerfile")
  logged "$work" buildah_in "$work" push "localhost/$name" "oci-archive:$work/whole/$name.tar:$version"
  mv -T "$work/whole" "$cached" 2>/dev/null || true  # another checkout was faster
  say "built the image $name in $((SECONDS - start)) s"
)

# buildah_in FOLDER ARGUMENT...: with a store in FOLDER; what it mounts, starts and notes on the machine goes with it.
buildah_in() {
  local folder=$1
  shift
  unshare --mount --pid --fork --kill-child --mount-proc sh -c \
    'mkdir -p /var/lib/containers && mount -t tmpfs tmpfs /var/lib/containers && exec "$@"' buildah \
    buildah --storage-driver overlay --root "$folder/root" --runroot "$folder/run" "$@"
}

# logged FOLDER COMMAND...: shows the steps of a build, and what it printed last when it fails.
logged() {
  local log="$1/log"
  shift
  "$@" 2>&1 | tee "$log" | sed -un -E 's/^(\[[0-9/]+\] STEP .{1,90}).*/[setup]   \1/p' && return
  tail -n 30 "$log" >&2
  return 1
}

# build_base CACHED: a root file system with Debian's essential packages and apt.
build_base() {
  local cached=$1
  say "building the base of images from $(release)'s packages"
  rm -rf "$work/base"
  mkdir "$work/base"
  TMPDIR=$work logged "$work" mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$work/machine/apt.conf" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --setup-hook="copy-in $work/machine/auth.conf.d /etc/apt" \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/auth.conf.d/*' \
    --customize-hook='rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf' \
    "$(release)" "$work/base/root.tar" "$work/machine/sources.list.d/machine.list" || return
  mv -T "$work/base" "$cached" 2>/dev/null || rm -rf "$work/base"  # another checkout was faster
}

# machine_settings FOLDER: what apt, pip, Maven and cargo are told on this machine, for the same programs in a build.
machine_settings() {
  local folder=$1 certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} file java
  mkdir -p "$folder"/{apt.conf.d,auth.conf.d,cargo,maven,sources.list.d,pip}
  find /etc/apt/auth.conf.d -name '*.conf' -exec cp {} "$folder/auth.conf.d" ';' 2>/dev/null || true
  # Only the distribution's own repositories: others need keys that the base does not have.
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    grep -E " $(release)(-\S+)? (main|universe)$" >"$folder/sources.list.d/machine.list" ||
    die "apt has no source of $(release) main. Add one to /etc/apt/sources.list and run apt-get update."
  apt-config dump Acquire | grep -v -E '^Acquire::(IndexTargets|cdrom)' >"$folder/apt.conf"
  cp "$folder/apt.conf" "$folder/apt.conf.d/90machine"
  {
    echo '[global]'
    {
      for file in /etc/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf "${PIP_CONFIG_FILE:-}"; do
        [ ! -f "$file" ] || cat "$file"
      done
      env | sed -n 's/^PIP_INDEX_URL=/index-url=/p; s/^PIP_EXTRA_INDEX_URL=/extra-index-url=/p; s/^PIP_PROXY=/proxy=/p'
    } | awk -F ' *= *' '/^(index-url|extra-index-url|trusted-host|proxy) *=/ { last[$1] = $0 }
                        END { for (name in last) print last[name] }'
  } >"$folder/pip/pip.conf"
  for file in /etc/maven/settings.xml ~/.m2/settings.xml; do  # the user's, if there are both
    [ ! -f "$file" ] || cp "$file" "$folder/maven/settings.xml"
  done
  for file in "${CARGO_HOME:-$HOME/.cargo}"/{config,credentials}{.toml,}; do
    [ ! -f "$file" ] || cp "$file" "$folder/cargo"
  done
  java=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
  cp -L "$java/lib/security/cacerts" "$folder/cacerts"  # Java knows certificates in its own form alone
  [ -f "$certificates" ] || return 0
  cp "$certificates" "$folder/ca-certificates.crt"
  echo 'cert = /run/machine/ca-certificates.crt' >>"$folder/pip/pip.conf"
  echo 'Acquire::https::CaInfo "/run/machine/ca-certificates.crt";' >>"$folder/apt.conf.d/90machine"
}
