"""What object storage promises: S3 with keys of Keystone, kept by the box, one project unseen by another."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from accounts import as_admin, new_user
from boxes import KUBECTL, LOCALCLOUD_BIN, ROOT, Box, until
from minio.error import S3Error
from storage import REGION, buckets, client, endpoint, get, new_key, put

BUCKET = "night-1"
PART = 5 * 2**20
VERSION = re.findall(r"^ARG SPARK_VERSION=(.+)$", (ROOT / "images/spark/Containerfile").read_text(), re.MULTILINE)[0]

# A Spark in one container, which has the key in its environment.
JOB = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: job}}
data:
  job.py: |
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spark.range(1000).repartition(2).write.parquet("s3a://{BUCKET}/range")
    total = spark.read.parquet("s3a://{BUCKET}/range").groupBy().sum("id").first()[0]
    print(f"read {{total}}")
---
apiVersion: v1
kind: Pod
metadata: {{name: job}}
spec:
  restartPolicy: Never
  containers:
    - name: job
      image: astrok8s/spark:{VERSION}
      args:
        - spark-submit
        - --master=local[1]
        - --conf=spark.hadoop.fs.s3a.endpoint=URL
        - --conf=spark.hadoop.fs.s3a.endpoint.region={REGION}
        - --conf=spark.hadoop.fs.s3a.path.style.access=true
        - --conf=spark.hadoop.fs.s3a.s3.signing-algorithm=AWS4UnsignedPayloadSignerType
        - /job/job.py
      envFrom: [{{secretRef: {{name: key}}}}]
      volumeMounts: [{{name: job, mountPath: /job}}]
  volumes:
    - name: job
      configMap: {{name: job}}
"""

# What a notebook does, in a process of its own, and what others could see of it meanwhile.
SESSION = f"""
import json
import os
import subprocess
from pathlib import Path
from urllib.request import urlopen

import astrok8s
import pyspark

spark = astrok8s.attach("first", mode="client", quiet=True)
spark.range(1000).repartition(2).write.parquet("s3a://{BUCKET}/attached")
told = {{"sum": spark.read.parquet("s3a://{BUCKET}/attached").groupBy().sum("id").first()[0]}}

conf, application = spark.sparkContext.getConf(), spark.sparkContext.applicationId
key = [conf.get(f"spark.hadoop.fs.s3a.{{name}}") for name in ("access.key", "secret.key")]
told["access"] = key[0]


def holders(word, kind):
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{{kind}}"):
        try:
            # Spark's servers have the key in their environment, which only their pods see.
            its = path.with_name("environ").read_bytes()
            server = b"CONNECT_PORT=" in its or b"SPARK_DAEMON_" in its
            if word.encode() in path.read_bytes() and not server:
                found.append(str(path))
        except OSError:
            continue
    return found


ui = "http://127.0.0.1:" + spark.sparkContext.uiWebUrl.rpartition(":")[2]
pages = ["/environment/", "/SQL/execution/?id=0"]
pages += [f"/api/v1/applications/{{application}}/{{page}}" for page in ("environment", "sql")]
texts = [urlopen(ui + page).read().decode() for page in pages]
asked = ("--namespace=spark", "get", "pods,configmaps,secrets,services", "--output=yaml")
objects = subprocess.run([os.environ["KUBECTL"], *asked], capture_output=True, text=True, check=True).stdout
told["driver and executor"] = len(holders(application, "cmdline"))
told["named in"] = ["fs.s3a.secret.key" in texts[0], application in objects]
told["seen in"] = holders(key[1], "cmdline") + holders(key[1], "environ")
told["seen in"] += [page for page, text in zip([*pages, "kubectl"], [*texts, objects]) if any(k in text for k in key)]

# An executor that the driver did not start would be told all properties.
driver = conf.get("spark.driver.host") + ":" + conf.get("spark.driver.port")
backend = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
java = ["java", "-cp", f"{{Path(pyspark.__file__).parent}}/jars/*", backend]
java += ["--driver-url", f"spark://CoarseGrainedScheduler@{{driver}}", "--executor-id", "99", "--hostname", "127.0.0.1"]
java += ["--cores", "1", "--app-id", application, "--resourceProfileId", "0"]
told["intruder"] = subprocess.run(java, capture_output=True, timeout=60).returncode
spark.stop()

for whose in ("THEIRS", "READERS"):
    names = dict(zip(("access.key", "secret.key"), json.loads(os.environ[whose])))
    key = {{f"spark.hadoop.fs.s3a.{{name}}": value for name, value in names.items()}}
    spark = astrok8s.attach("first", mode="client", quiet=True, conf=key)
    try:
        told[whose] = spark.read.parquet("s3a://{BUCKET}/attached").count()
    except Exception as error:
        told[whose] = str(error)
    told["goes on"] = spark.range(3).count()
    spark.stop()
print(json.dumps(told))
"""
WITHOUT_KEY = """
import astrok8s
spark = astrok8s.attach("first", mode="client")
print(spark.sparkContext.getConf().get("spark.hadoop.fs.s3a.endpoint"), spark.range(10).count())
spark.stop()
"""


@pytest.fixture(scope="module")
def url(box: Box) -> str:
    return endpoint(box)


@pytest.fixture(scope="module")
def key(box: Box, url: str) -> dict[str, str]:
    """A key of the cloud's user, who has a bucket with an object."""
    key = new_key(box)
    s3 = client(url, key)
    s3.make_bucket(bucket_name=BUCKET)
    put(s3, BUCKET, "m31/image.fits", b"SIMPLE  =")
    return key


@pytest.fixture(scope="module")
def stranger(box: Box) -> tuple[str, ...]:
    """The options of `openstack` that name a user of another project."""
    as_admin(box, "project create other")
    return new_user(box, "stranger", "other", "member")


@pytest.fixture(scope="module")
def readers(box: Box) -> dict[str, str]:
    """A key of a user of the project who has no right to its object storage any more."""
    project = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]["auth"]["project_name"]
    key = new_key(box, *new_user(box, "onlooker", project, "member"))
    as_admin(box, f"role add reader --user onlooker --project {project}")
    as_admin(box, f"role remove member --user onlooker --project {project}")
    return key


def refused(error: pytest.ExceptionInfo[S3Error]) -> int:
    """Returns the status with which S3 refused."""
    return int(error.value.response.status)


def test_s3_and_swift_show_the_same_objects(box: Box, url: str, key: dict[str, str], tmp_path: Path) -> None:
    s3 = client(url, key)
    assert BUCKET in buckets(s3)
    assert [entry.object_name for entry in s3.list_objects(bucket_name=BUCKET)] == ["m31/"]
    assert get(s3, BUCKET, "m31/image.fits") == b"SIMPLE  ="
    (tmp_path / "by-swift").write_bytes(b"22")
    created = box.openstack("object", "create", BUCKET, str(tmp_path / "by-swift"), "--name", "by-swift")
    assert created.returncode == 0, created.stderr
    assert get(s3, BUCKET, "by-swift") == b"22"
    listed = box.openstack("object", "list", BUCKET, "-f", "value")
    assert listed.stdout.split() == ["by-swift", "m31/image.fits"]
    account = ("object", "store", "account", "show", "-f", "value", "-c", "Objects")
    until(lambda: box.openstack(*account), lambda run: run.stdout.strip() == "2")  # the updaters count


def test_an_upload_in_parts_is_one_object(url: str, key: dict[str, str]) -> None:
    s3, content = client(url, key), os.urandom(2 * PART + 1)
    s3.make_bucket(bucket_name="parts")
    put(s3, "parts", "catalogue", content)  # of this length, the client uploads it in parts
    assert get(s3, "parts", "catalogue") == content
    s3.remove_object(bucket_name="parts", object_name="catalogue")
    assert list(s3.list_objects(bucket_name="parts", recursive=True)) == []


def test_another_project_neither_sees_nor_reads_nor_writes(
    box: Box, url: str, key: dict[str, str], stranger: tuple[str, ...]
) -> None:
    theirs = client(url, new_key(box, *stranger))
    assert buckets(theirs) == []
    with pytest.raises(S3Error) as error:
        get(theirs, BUCKET, "m31/image.fits")
    assert refused(error) == 404
    with pytest.raises(S3Error) as error:
        put(theirs, BUCKET, "m31/image.fits", b"")
    assert refused(error) == 404
    project = box.openstack("token", "issue", "-f", "value", "-c", "project_id").stdout.strip()
    for path in (f"/v1/AUTH_{project}/{BUCKET}/m31/image.fits", f"/v1/AUTH_{project}"):
        token = box.openstack(*stranger, "token", "issue", "-f", "value", "-c", "id").stdout.strip()
        run = box.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-Auth-Token: {token}", url + path)
        assert run.stdout == "403"
    theirs.make_bucket(bucket_name=BUCKET)  # names are each project's own
    put(theirs, BUCKET, "m31/image.fits", b"another")
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_who_has_no_key_or_a_wrong_secret_is_refused(box: Box, url: str, key: dict[str, str]) -> None:
    with pytest.raises(S3Error) as error:
        buckets(client(url, key | {"secret": "wrong"}))
    assert (refused(error), error.value.code) == (403, "SignatureDoesNotMatch")
    with pytest.raises(S3Error) as error:
        buckets(client(url, key | {"access": "unknown"}))
    assert refused(error) == 403
    anonymous = box.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/{BUCKET}")
    assert anonymous.stdout.startswith("4")


def test_a_revoked_key_is_refused_at_once(box: Box, url: str, key: dict[str, str]) -> None:
    second = new_key(box)
    s3 = client(url, second)
    assert buckets(s3) == buckets(client(url, key))
    revoked = box.openstack("ec2", "credentials", "delete", second["access"])
    assert revoked.returncode == 0, revoked.stderr
    with pytest.raises(S3Error) as error:
        buckets(s3)
    assert refused(error) == 403
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_objects_and_keys_survive_down_and_up(box: Box, url: str, key: dict[str, str]) -> None:
    for command in ("down", "up"):
        run = box.localcloud(command)
        assert run.returncode == 0, run.stderr
    assert get(client(url, key), BUCKET, "m31/image.fits") == b"SIMPLE  ="


def test_status_and_logs_show_it(box: Box) -> None:
    status = box.localcloud("status")
    (line,) = (line for line in status.stdout.splitlines() if line.startswith("│ swift "))
    assert "RUNNING" in line
    assert "swift.out" in box.localcloud("logs", "swift", "--lines", "1").stdout + box.localcloud("logs").stdout


@pytest.fixture(scope="module")
def cluster(box: Box) -> str:
    run = box.playbook("site.yml", clusters=["first"], size=1)
    assert run.returncode == 0, run.stdout
    return "first"


def test_a_pod_reaches_it_at_the_same_address(box: Box, url: str, cluster: str) -> None:
    ask = ("--", "sh", "-c", f"wget -q -O- {url}/healthcheck && echo")
    run = box.kubectl(cluster, "run", "ask", "--image=localcloud/busybox:1", "--restart=Never", *ask)
    assert run.returncode == 0, run.stderr
    answer = until(lambda: box.kubectl(cluster, "logs", "ask"), lambda run: run.returncode == 0 and run.stdout != "")
    assert answer.stdout == "OK\n"


def test_spark_in_a_cluster_writes_and_reads_with_the_users_key(
    box: Box, url: str, key: dict[str, str], cluster: str
) -> None:
    literals = (
        f"--from-literal=AWS_ACCESS_KEY_ID={key['access']}",
        f"--from-literal=AWS_SECRET_ACCESS_KEY={key['secret']}",
    )
    made = box.kubectl(cluster, "create", "secret", "generic", "key", *literals)
    assert made.returncode == 0, made.stderr
    applied = box.kubectl(cluster, "apply", "--filename=-", stdin=JOB.replace("URL", url))
    assert applied.returncode == 0, applied.stderr
    phase = ("get", "pod", "job", "--output=jsonpath={.status.phase}")
    end = until(lambda: box.kubectl(cluster, *phase), lambda run: run.stdout in ("Succeeded", "Failed"), timeout_s=180)
    log = box.kubectl(cluster, "logs", "job").stdout
    assert end.stdout == "Succeeded", log
    assert "read 499500" in log
    written = [entry.object_name for entry in client(url, key).list_objects(bucket_name=BUCKET, prefix="range/part-")]
    assert len(written) == 2


def test_an_attached_session_has_it_and_keeps_the_key_to_itself(
    box: Box, url: str, key: dict[str, str], cluster: str, stranger: tuple[str, ...], readers: dict[str, str]
) -> None:
    theirs = new_key(box, *stranger)
    box.kubectl(cluster, "version")  # which gets the kubeconfig
    environment = {
        "OS_CLOUD": box.name,
        "KUBECTL": str(KUBECTL),
        "KUBECONFIG": str(box.folder / f"{box.name}-{cluster}" / "config"),
        "THEIRS": json.dumps([theirs["access"], theirs["secret"]]),
        "READERS": json.dumps([readers["access"], readers["secret"]]),
    }
    run = box.run(sys.executable, "-c", SESSION, **environment)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["sum"] == 499500
    written = [entry.object_name for entry in client(url, key).list_objects(bucket_name=BUCKET, prefix="attached/")]
    assert [str(name).split("-")[0] for name in written] == ["attached/_SUCCESS", "attached/part", "attached/part"]
    assert told["access"] == key["access"]  # no other was made
    assert told["driver and executor"] >= 2
    assert told["named in"] == [True, True]
    assert told["seen in"] == []
    assert told["intruder"] == 1
    # The JVM of the first session, and with it the file systems that it had opened, went on.
    assert "PATH_NOT_FOUND" in str(told["THEIRS"]), told["THEIRS"]
    assert "AccessDenied" in str(told["READERS"]), told["READERS"]
    assert told["goes on"] == 3


@pytest.mark.usefixtures("cluster")
def test_a_session_without_a_key_says_so(box: Box, url: str) -> None:
    made = box.openstack("application", "credential", "create", "notebook", "-f", "json")
    assert made.returncode == 0, made.stderr
    credential = {name.lower(): value for name, value in json.loads(made.stdout).items()}
    entry = yaml.safe_load(box.clouds.read_text())["clouds"][box.name]
    auth = {f"application_credential_{name}": credential[name] for name in ("id", "secret")}
    entry |= {"auth_type": "v3applicationcredential", "auth": auth | {"auth_url": entry["auth"]["auth_url"]}}
    clouds = box.folder / "application.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"application": entry}}))
    run = box.run(sys.executable, "-c", WITHOUT_KEY, OS_CLIENT_CONFIG_FILE=str(clouds), OS_CLOUD="application")
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{url} 10\n"
    assert "going on without a key of object storage, which conf may name: Keystone gives no key" in run.stderr


@pytest.mark.usefixtures("cluster")
def test_a_cloud_without_object_storage_is_attached_to_as_well(box: Box) -> None:
    admin = (str(LOCALCLOUD_BIN / "openstack"), "--os-cloud", f"{box.name}-admin")
    gone = box.run(*admin, "service", "delete", "s3", OS_CLIENT_CONFIG_FILE=str(box.home / "clouds.yaml"))
    assert gone.returncode == 0, gone.stderr
    assert box.playbook("site.yml", clusters=["first"]).returncode == 0  # which tells sessions of it
    run = box.run(sys.executable, "-c", WITHOUT_KEY, OS_CLOUD=box.name)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "None 10\n"


def test_a_file_system_without_attributes_is_refused(tmp_path: Path) -> None:
    box = Box(f"n{os.getpid()}", tmp_path)
    (tmp_path / "state").mkdir()
    up = f"mount -t ramfs none {tmp_path}/state && exec {LOCALCLOUD_BIN}/localcloud up --name {box.name}"
    run = box.run("unshare", "--mount", "sh", "-c", up)
    box.localcloud("destroy")  # were it up
    assert run.returncode == 1
    assert "keeps no attributes of 2048 bytes, which object storage needs" in run.stderr
    assert "XDG_STATE_HOME" in run.stderr
