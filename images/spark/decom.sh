#!/bin/bash
# Kubernetes runs this before it ends an executor's pod, where spark.decommission.enabled is set: the
# executor hands its blocks over, then ends by itself. Kubernetes' own deadline bounds the wait.
set -euo pipefail
executor=$(pgrep --oldest --full '^[^ ]*/java .*KubernetesExecutorBackend') || exit 0 # it has ended already
kill -s PWR "$executor"
tail --pid="$executor" --follow /dev/null
