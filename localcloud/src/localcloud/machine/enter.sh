#!/bin/sh
# Run a component in a node's namespaces, once the node has booted. A program of supervisord.
# usage: enter.sh NODE_FOLDER COMMAND [ARGUMENT…]
set -eu
folder=$1
shift
# the node's PID 1 is the only child of the process that power-on.sh became
deadline=$(($(date +%s) + 60))
until pid=$(cat "$folder/machine.pid" 2>/dev/null) &&
  init=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) && init=${init%% *} &&
  [ -n "$init" ] && [ -e "/proc/$init/root/run/booted" ]; do
  if [ "$(date +%s)" -gt "$deadline" ]; then
    echo "the node in $folder did not boot within 60 s; see the log of its machine" >&2
    exit 1
  fi
  sleep 0.05
done
# a component dies with the nsenter that supervisord watches: never two of them
exec nsenter --target "$init" --mount --uts --ipc --net --pid -- setpriv --pdeathsig KILL "$@"
