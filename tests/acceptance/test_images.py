"""What the project's images promise: nodes have them, and they run as an ordinary user."""

import re

import pytest
from boxes import ROOT, Box, until

CONTAINERFILE = (ROOT / "images" / "spark" / "Containerfile").read_text()
VERSION = re.findall(r"^ARG SPARK_VERSION=(.+)$", CONTAINERFILE, re.MULTILINE)[0]
IMAGE = f"astrok8s/spark:{VERSION}"

# A Python function that needs pandas and Arrow, in a Spark in one container.
JOB = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: job}}
data:
  job.py: |
    import getpass
    import pandas
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import pandas_udf

    spark = SparkSession.builder.getOrCreate()

    @pandas_udf("long")
    def double(values: pandas.Series) -> pandas.Series:
        return values * 2

    total = spark.range(1000).select(double("id").alias("twice")).groupBy().sum("twice").first()[0]
    print(f"{{getpass.getuser()}} has Spark {{spark.version}} on {{spark.sparkContext.master}}: {{total}}")
---
apiVersion: v1
kind: Pod
metadata: {{name: job}}
spec:
  restartPolicy: Never
  containers:
    - name: job
      image: {IMAGE}
      args: [spark-submit, --master, "local[1]", /job/job.py]
      securityContext: {{runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      volumeMounts: [{{name: job, mountPath: /job}}]
  volumes:
    - name: job
      configMap: {{name: job}}
"""

# The same function in a driver and an executor, as Spark's own scheduler makes them.
SUBMIT = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: spark}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: spark}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}
subjects: [{{kind: ServiceAccount, name: spark, namespace: default}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: template}}
data:
  driver.yaml: |
    spec:
      containers:
        - name: driver
          volumeMounts: [{{name: job, mountPath: /job}}]
      volumes:
        - name: job
          configMap: {{name: job}}
---
apiVersion: v1
kind: Pod
metadata: {{name: submit}}
spec:
  serviceAccountName: spark
  restartPolicy: Never
  containers:
    - name: submit
      image: {IMAGE}
      args:
        - spark-submit
        - --master=k8s://https://kubernetes.default.svc
        - --deploy-mode=cluster
        - --conf=spark.kubernetes.container.image={IMAGE}
        - --conf=spark.kubernetes.authenticate.driver.serviceAccountName=spark
        - --conf=spark.kubernetes.driver.pod.name=driver
        - --conf=spark.kubernetes.driver.podTemplateFile=/template/driver.yaml
        - --conf=spark.kubernetes.driver.request.cores=0.1
        - --conf=spark.kubernetes.executor.request.cores=0.1
        - --conf=spark.executor.instances=1
        - local:///job/job.py
      volumeMounts: [{{name: template, mountPath: /template}}]
  volumes:
    - name: template
      configMap: {{name: template}}
"""

# Root on a node, who tries to change a layer of an image.
INTRUDER = """
apiVersion: v1
kind: Pod
metadata: {name: intruder}
spec:
  restartPolicy: Never
  containers:
    - name: intruder
      image: localcloud/busybox:1
      command: [sh, -c, "ls /layers/1/fs && ! touch /layers/1/fs/changed"]
      securityContext: {privileged: true}
      volumeMounts: [{name: layers, mountPath: /layers}]
  volumes:
    - name: layers
      hostPath: {path: /opt/layers, type: Directory}
"""


@pytest.fixture(scope="module")
def box(box: Box) -> Box:
    template = ("--cluster-template", "kubernetes", "--keypair", "astro", "--node-count", "1")
    run = box.openstack("coe", "cluster", "create", *template, "first")
    assert run.returncode == 0, run.stderr
    box.wait_for_cluster("first", "CREATE_COMPLETE")
    return box


def apply(box: Box, manifest: str) -> None:
    run = box.kubectl("first", "apply", "--filename=-", stdin=manifest)
    assert run.returncode == 0, run.stderr


def log_of(box: Box, pod: str) -> str:
    """Waits for the end of a pod, and returns its log."""
    phase = ("get", "pod", pod, "--output=jsonpath={.status.phase}")
    end = until(lambda: box.kubectl("first", *phase), lambda run: run.stdout in ("Succeeded", "Failed"), timeout_s=180)
    log = box.kubectl("first", "logs", pod).stdout
    assert end.stdout == "Succeeded", log
    return log


def test_spark_runs_a_python_function_as_an_ordinary_user(box: Box) -> None:
    apply(box, JOB)
    assert f"spark has Spark {VERSION} on local[1]: 999000" in log_of(box, "job")


def test_sparks_scheduler_makes_drivers_and_executors_of_it(box: Box) -> None:
    apply(box, SUBMIT)
    log_of(box, "submit")
    log = log_of(box, "driver")
    assert f"spark has Spark {VERSION} on k8s://https://kubernetes.default.svc: 999000" in log
    assert "Registered executor" in log


def test_the_image_holds_the_pinned_packages_and_nothing_of_this_machine(box: Box) -> None:
    pins = [line for line in (ROOT / "images/spark/requirements.txt").read_text().splitlines() if "==" in line]
    names = " ".join(pin.partition("==")[0] for pin in pins)
    command = f"""
        id -u; cat /proc/1/comm
        python3 -c 'import importlib.metadata as m, sys; [print(n, m.version(n)) for n in sys.argv[1:]]' {names}
        find /run/machine /etc/apt/sources.list.d /etc/apt/auth.conf.d /var/lib/apt/lists -type f
        grep -r -i acquire /etc/apt
        exit 0
    """
    run = box.kubectl(
        "first", "run", "look", f"--image={IMAGE}", "--restart=Never", "--", "sh", "-c", f"{command}; true"
    )
    assert run.returncode == 0, run.stderr
    assert log_of(box, "look").splitlines() == ["185", "tini", *(pin.replace("==", " ") for pin in pins)]


def test_what_nodes_share_cannot_be_changed_from_one(box: Box) -> None:
    apply(box, INTRUDER)
    assert "Read-only file system" in log_of(box, "intruder")
