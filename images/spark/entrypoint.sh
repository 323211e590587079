#!/bin/bash
# What Spark's Kubernetes scheduler expects of an image: "executor" and "driver" start those from the environment that it
# sets. "submit" is spark-submit in the client's mode, without its launcher. Any other command runs as it is.
set -euo pipefail

# Says the class path; what comes first wins. Java drops the archive of classes where the path does not begin with that of
# its making: so each jar by its name, in one order everywhere (of `jars/*` it is the file system's), and only then the
# folder of settings, if there are any.
class_path() {
  local settings=${SPARK_CONF_DIR:-$SPARK_HOME/conf}
  compgen -G "$settings/*" >/dev/null || settings=
  local IFS=: parts=(${HADOOP_CONF_DIR:+"$HADOOP_CONF_DIR"} ${SPARK_CLASSPATH:+"$SPARK_CLASSPATH"}
    "$SPARK_HOME"/jars/*.jar ${settings:+"$settings"}
    ${SPARK_EXTRA_CLASSPATH:+"$SPARK_EXTRA_CLASSPATH"} ${SPARK_DIST_CLASSPATH:+"$SPARK_DIST_CLASSPATH"})
  echo "${parts[*]}"
}

CLASSPATH=$(class_path)  # where java looks without -cp
export CLASSPATH

case "${1:-}" in
  executor)
    options=()
    for name in $(compgen -e SPARK_JAVA_OPT_ | sort --field-separator=_ --key=4n); do
      options+=("${!name}")  # SPARK_JAVA_OPT_0, 1, …: one option each, with any character in it
    done
    set -- "$JAVA_HOME/bin/java" "-XX:SharedArchiveFile=$SPARK_HOME/classes.jsa" "${options[@]}" \
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
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
  submit)
    shift
    set -- "$JAVA_HOME/bin/java" "@$SPARK_HOME/java.options" "${SPARK_CLASSES:--XX:SharedArchiveFile=$SPARK_HOME/classes.jsa}" \
      "-Xmx${SPARK_DRIVER_MEMORY:-1g}" org.apache.spark.deploy.SparkSubmit "$@"
    ;;
esac

exec tini -s -- "$@"
