"""Magnum's API and conductor in one process: ``python -m localcloud.openstack.magnum_service --config-file FILE``.

In one process they talk without a message broker, and SQLite has one writer.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from magnum.common import service as magnum_setup

from localcloud.openstack.serve import serve

LOG = logging.getLogger(__name__)
THREADS = 16
"""API requests that are worked on at a time."""

POLL_SECONDS = 1
"""Pause between looks at clusters that are IN_PROGRESS; Magnum's own is 10, which nodes here undercut."""


def one_writer() -> None:
    """Let the threads that write to the database take turns.

    Magnum's writers read first and write later in one transaction. Where two of them overlap,
    SQLite refuses the second one at once ("database is locked"), however long it would wait.
    """
    from magnum.db.sqlalchemy import api

    turn, open_session = threading.RLock(), api._session_for_write

    @contextlib.contextmanager
    def session_for_write() -> Iterator[Any]:
        with turn, open_session() as session:
            yield session

    api._session_for_write = session_for_write


def poll_often() -> None:
    """Look at clusters in progress every second, each in one thread at a time."""
    from magnum.service import periodic
    from oslo_service import loopingcall

    periodic.MagnumPeriodicTasks._periodic_spacing["sync_cluster_status"] = POLL_SECONDS
    busy: set[str] = set()
    guard = threading.Lock()
    update = periodic.ClusterUpdateJob.update_status

    def update_status(job: Any) -> None:
        uuid = job.cluster.uuid
        with guard:
            if uuid in busy:
                raise loopingcall.LoopingCallDone
            busy.add(uuid)
        try:
            update(job)
        finally:
            busy.discard(uuid)

    periodic.ClusterUpdateJob.update_status = update_status


def drop_half_clusters() -> None:
    """Remove the rows of clusters whose creation or removal a kill cut short.

    Magnum writes a cluster and its two first node groups one by one, and removes them so. With
    some of them missing, its API answers every list of clusters with an error, for good.
    """
    from magnum.db.sqlalchemy import api, models

    with api._session_for_write() as session:
        groups = session.query(models.NodeGroup).all()
        complete = {
            cluster
            for cluster in {group.cluster_id for group in groups}
            if {"master", "worker"} <= {group.role for group in groups if group.cluster_id == cluster}
        }
        for cluster in session.query(models.Cluster).all():
            if cluster.uuid in complete and cluster.status != "DELETE_COMPLETE":
                continue
            LOG.warning("removing cluster %s (%s), half of which was there", cluster.name, cluster.uuid)
            for group in groups:
                if group.cluster_id == cluster.uuid:
                    session.delete(group)
            session.delete(cluster)


def start_conductor() -> Any:
    """Start Magnum's conductor in threads of this process.

    Returns:
        What stops it, by its ``stop`` method.
    """
    import magnum.conf
    from magnum.common import rpc_service
    from magnum.conductor import handlers

    modules = (
        "indirection_api",
        "cluster_conductor",
        "conductor_listener",
        "credential_conductor",
        "ca_conductor",
        "federation_conductor",
        "nodegroup_conductor",
    )
    endpoints = [importlib.import_module(f"{handlers.__name__}.{module}").Handler() for module in modules]
    conf = magnum.conf.CONF
    conductor = rpc_service.Service.create(conf.conductor.topic, conf.host, endpoints, binary="magnum-conductor")
    conductor.create_periodic_tasks()
    conductor.start()
    return conductor


def main() -> None:
    """Run both until SIGTERM."""
    magnum_setup.prepare_service(sys.argv)
    import magnum.conf
    from magnum.api import app

    one_writer()
    poll_often()
    drop_half_clusters()
    conductor = start_conductor()
    try:
        serve(app.load_app(), magnum.conf.CONF.api.port, THREADS)
    finally:
        conductor.stop()
    sys.stdout.flush()
    os._exit(0)  # the periodic tasks' threads would keep the process


if __name__ == "__main__":
    main()
