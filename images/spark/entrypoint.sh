#!/bin/bash
# What Spark's Kubernetes scheduler expects of an image: "executor" and "driver" start those from
# the environment that it sets; any other command runs as it is.
set -euo pipefail

# A pod may run under a user ID that the image does not know; Hadoop's login needs a name for it.
if ! getent passwd "$(id -u)" >/dev/null && [ -w /etc/passwd ]; then
  echo "spark-$(id -u):x:$(id -u):$(id -g):Spark:$SPARK_HOME/work-dir:/usr/sbin/nologin" >>/etc/passwd
fi

class_path() { # configuration first: what it has wins
  local parts=()
  [ -z "${HADOOP_CONF_DIR:-}" ] || parts+=("$HADOOP_CONF_DIR")
  parts+=("${SPARK_CONF_DIR:-$SPARK_HOME/conf}")
  [ -z "${SPARK_CLASSPATH:-}" ] || parts+=("$SPARK_CLASSPATH")
  parts+=("$SPARK_HOME/jars/*")
  [ -z "${SPARK_EXTRA_CLASSPATH:-}" ] || parts+=("$SPARK_EXTRA_CLASSPATH")
  [ -z "${SPARK_DIST_CLASSPATH:-}" ] || parts+=("$SPARK_DIST_CLASSPATH")
  local IFS=:
  echo "${parts[*]}"
}

# CVMFS: a node may be so new that its client has not mounted all of it yet. What is not there after half a minute is not waited
# for: whoever does not use it can work.
if [ -n "${ASTROK8S_CVMFS:-}" ] && [ -d /cvmfs ]; then
  "${BASH_SOURCE%/*}/cvmfs.sh" 30 ${ASTROK8S_CVMFS//,/ } || true
fi

# The user's packages, from CVMFS or from object storage: after PySpark, before those of the image.
case "${ASTROK8S_ENVIRONMENT:-}" in
  "") ;;
  /cvmfs/*)
    python3 "${BASH_SOURCE%/*}/cvmfs.py" "$ASTROK8S_ENVIRONMENT"
    export PYTHONPATH="$PYTHONPATH:$ASTROK8S_ENVIRONMENT"
    ;;
  *)
    python3 "${BASH_SOURCE%/*}/environment.py" "$ASTROK8S_ENVIRONMENT" "$SPARK_HOME/work-dir/environment"
    export PYTHONPATH="$PYTHONPATH:$SPARK_HOME/work-dir/environment" # any of it comes before site-packages
    ;;
esac

case "${1:-}" in
  executor)
    options=()
    for name in $(compgen -e SPARK_JAVA_OPT_ | sort --field-separator=_ --key=4n); do
      options+=("${!name}") # SPARK_JAVA_OPT_0, 1, …: one option each, with any character in it
    done
    set -- "$JAVA_HOME/bin/java" "${options[@]}" \
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "$(class_path)" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" \
      --executor-id "$SPARK_EXECUTOR_ID" \
      --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" \
      --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
      --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  driver)
    shift
    set -- "$SPARK_HOME/bin/spark-submit" \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
      --deploy-mode client "$@"
    ;;
esac

exec tini -s -- "$@"
