#!/bin/bash
# Waits until repositories of CVMFS are mounted and list; ends with 1 and says which ones are not, if that takes longer.
# usage: cvmfs.sh SECONDS FQRN…
set -euo pipefail
deadline=$((SECONDS + $1))
shift

missing() {
  local fqrn
  for fqrn in "$@"; do
    # listed first: who mounts on demand mounts it now
    timeout 20 ls "/cvmfs/$fqrn" >/dev/null 2>&1 && grep --quiet --fixed-strings " /cvmfs/$fqrn fuse" /proc/self/mounts || echo "$fqrn"
  done
}

while left=$(missing "$@") && [ -n "$left" ]; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "CVMFS: this node has not mounted" $left >&2
    exit 1
  fi
  sleep 0.2
done
