"""Sessions of client mode: the driver is this process, and executors are pods of the cluster."""

import getpass
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible_collections.astrok8s.magnum.plugins.module_utils.templates import pod

from astrok8s import _cells, _driver, _lease, _shuffle, _storage
from astrok8s._environment import Packages
from astrok8s._kubernetes import CONFIG_MAP, Account, CoreV1Api, SparkBase, config_map, session_conf
from astrok8s._pods import Pods
from astrok8s._private import folder, write
from astrok8s._sizing import executor_properties, executor_room, rooms
from astrok8s._watch import Watch
from astrok8s._way import WayBack
from astrok8s.errors import AstroK8sError, AttachError, OptionError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    from astrok8s.clusters import Cluster

_LOOK_S = 2
_CVMFS = "cvmfs"
_TEMPLATE_FILE = "spark.kubernetes.executor.podTemplateFile"


def attach(
    cluster: "Cluster",
    connection: Any,
    account: Account,
    api: CoreV1Api,
    base: SparkBase,
    *,
    executors: int | None,
    conf: Mapping[str, str],
    packages: Packages | None,
    timeout_s: float,
    say: Callable[[str], None],
) -> "SparkSession":
    """Returns a session with this process as its driver.

    Args:
        cluster: The cluster.
        connection: An openstacksdk connection to its cloud, authenticated.
        account: Who attaches.
        api: Its API, as its administrator.
        base: What it tells of Spark in it.
        executors: As of `astrok8s.attach`.
        conf: As of `astrok8s.attach`.
        packages: Those of executors' Python.
        timeout_s: As of `astrok8s.attach`.
        say: Is told what is waited for.

    Raises:
        OptionError: The properties ask for what cannot work on the cluster.
        AttachError: There is no session, and why.
    """
    here = account.local_address()
    shuffle = _shuffle.settings(api, base.namespace, conf)
    count, nodes = executors or max(1, cluster.size), rooms(api)
    key = _storage.key_properties(connection, base.conf, say)
    wanted = {
        "spark.app.name": f"astrok8s {cluster.name}",
        **_driver.properties(account, here, cluster.uuid),
        **_executors(cluster.name, count, dynamic=_shuffle.is_on(conf, _shuffle.DYNAMIC)),
        **executor_properties(executor_room(nodes, count)),
        **base.conf,
        **key,
        **session_conf(shuffle),
        **_template(conf, *(config_map(api, base.namespace, name) or {} for name in (CONFIG_MAP, _CVMFS)), shuffle),
        **(_history(connection, api, base, conf, say) if key else {}),
        **({"spark.archives": packages.archive} if packages and packages.archive else {}),
        **{name: value for name, value in conf.items() if name != _TEMPLATE_FILE},
    }
    _shuffle.wait(api, base.namespace, shuffle, len(nodes), timeout_s, say)
    say(f"starting Spark {base.spark_version} as {base.service_account} in {base.namespace}")
    way = WayBack(account, base, wanted["spark.driver.host"], wanted["spark.driver.bindAddress"])
    session = _driver.start(
        wanted, packages.python if packages else "python3", _shuffle.secret(api, base.namespace, shuffle)
    )
    try:
        _wait_for_executors(session, api, base, way, timeout_s, say)
    except BaseException:
        session.stop()
        raise
    _look_at_jobs(session.sparkContext, account, base, cluster.gone)
    _driver.serve_pages(session)
    _lease.hold(account, base.namespace, cluster.name, lambda: not _driver.is_over(session.sparkContext))
    return session


def _look_at_jobs(
    context: "SparkContext", account: Account, base: SparkBase, gone: Callable[[], AstroK8sError | None]
) -> None:
    """Looks now and then, until the session ends, how its jobs are; one may have tasks and none of them runs."""
    from py4j.protocol import Py4JError

    watch = Watch(Pods(account.client(), base.namespace, _executors_of(context), _driver.log), gone)
    tracker = context.statusTracker()
    if cells := _cells.here():
        cells.follow(context)

    def look() -> None:
        with suppress(Py4JError, OSError):  # which is the end of the session
            while not _driver.is_over(context):
                stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                # Executors are no sign: Spark keeps one that is lost until Kubernetes, if it answers, has said why.
                watch.see(bool(stages) and not any(stage and stage.numActiveTasks for stage in stages))
                if cells:
                    cells.look()
                time.sleep(_LOOK_S)

    threading.Thread(target=look, name="executors", daemon=True).start()


def _executors_of(context: "SparkContext") -> str:
    return f"spark-app-selector={context.applicationId},spark-role=executor"


def _history(
    connection: Any, api: CoreV1Api, base: SparkBase, conf: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """Returns Spark's properties for an event log, where the cluster has a history server."""
    if _storage.KEY in conf:
        say("this session will not be in the history: conf names a key of its own")
        return {}
    return _storage.event_log(connection, session_conf(config_map(api, base.namespace, "spark-history")), say)


def _template(conf: Mapping[str, str], *found: Mapping[str, str]) -> dict[str, str]:
    """Returns Spark's properties for a template of executors' pods: what roles have for them, and the user's own.

    Args:
        conf: The properties that the user gives.
        found: What the ConfigMaps of roles hold.

    Raises:
        OptionError: The user's is no template.
    """
    parts = [json.loads(data["executor.json"]) for data in found if "executor.json" in data]
    if own := conf.get(_TEMPLATE_FILE):
        parts.append(_own_template(Path(own.removeprefix("file:"))))
    content = json.dumps(pod(parts)).encode()
    return {_TEMPLATE_FILE: write(folder() / "executor.json", content)} if parts else {}


def _own_template(path: Path) -> Any:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise OptionError(
            "conf",
            f"{_TEMPLATE_FILE} is {path}, which cannot be read as YAML: {error}.",
            remedy="Give the path of a template of a pod on this machine.",
        ) from error
    if not isinstance(content, dict):
        raise OptionError(
            "conf",
            f"{_TEMPLATE_FILE} is {path}, which holds no template of a pod.",
            remedy="Give one that begins with `kind: Pod`; the container of the executor is named executor.",
        )
    return content


def _executors(cluster: str, count: int, *, dynamic: bool) -> dict[str, str]:
    """Returns Spark's properties for the executors, but for their size."""
    word = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")[:30]
    return {
        # Spark would start with as many instances, too: dynamic ones come when there is work.
        "spark.dynamicAllocation.maxExecutors" if dynamic else "spark.executor.instances": str(count),
        "spark.kubernetes.allocation.batch.size": str(count),
        "spark.kubernetes.executor.podNamePrefix": f"{word}-{secrets.token_hex(3)}",
        "spark.kubernetes.executor.label.astrok8s/user": re.sub(r"[^A-Za-z0-9]+", "-", getpass.getuser()).strip("-")[
            :63
        ],
    }


def _wait_for_executors(
    session: "SparkSession",
    api: CoreV1Api,
    base: SparkBase,
    way: WayBack,
    timeout_s: float,
    say: Callable[[str], None],
) -> None:
    """Waits until all executors have registered; dynamic ones come when there is work.

    Raises:
        AttachError: They have not in time, with what is wrong with their pods; or they could not.
    """
    context = session.sparkContext
    properties = dict(context.getConf().getAll())
    if _shuffle.is_on(properties, _shuffle.DYNAMIC):
        way.check()
        return
    wanted = int(properties["spark.executor.instances"])

    def lacking() -> str:
        there = 0 if _driver.is_over(context) else _driver.executors_here(context)
        return "" if there >= wanted else f"{there} of {wanted} executors are here"

    pods = Pods(api, base.namespace, _executors_of(context), _driver.log)
    reasons = pods.wait(lacking, timeout_s, say, lambda: _driver.is_over(context) or way.is_closed())
    if reasons is not None:
        if way.is_closed():
            way.check()
        over = "Spark gave up" if _driver.is_over(context) else f"not all within {timeout_s:.0f} s"
        raise AttachError(
            f"The {wanted} executors did not come: {over}.\n{reasons}\n",
            remedy="Mend that (fewer executors, a larger cluster, another image, a firewall that lets them reach the "
            "driver), and attach again.",
        )
