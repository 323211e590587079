#!/bin/bash
# What Spark's Kubernetes scheduler expects of an image: "executor" and "driver" start those from the environment that it
# sets; any other command runs as it is.
set -euo pipefail

# Says the class path; what comes first wins.
class_path() {
  local IFS=: parts=(${HADOOP_CONF_DIR:+"$HADOOP_CONF_DIR"} "${SPARK_CONF_DIR:-$SPARK_HOME/conf}"
    ${SPARK_CLASSPATH:+"$SPARK_CLASSPATH"} "$SPARK_HOME/jars/*"
    ${SPARK_EXTRA_CLASSPATH:+"$SPARK_EXTRA_CLASSPATH"} ${SPARK_DIST_CLASSPATH:+"$SPARK_DIST_CLASSPATH"})
  echo "${parts[*]}"
}

case "${1:-}" in
  executor)
    options=()
    for name in $(compgen -e SPARK_JAVA_OPT_ | sort --field-separator=_ --key=4n); do
      options+=("${!name}")  # SPARK_JAVA_OPT_0, 1, …: one option each, with any character in it
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
