#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Settle when a cluster ends, and by which credential."""

DOCUMENTATION = r"""
module: lifetime
short_description: When a cluster ends, a credential that can do that and nothing else, and what is told of it
version_added: 0.1.0
description:
  - Works out when a cluster ends, from what is declared and from what the cluster tells already.
  - Has Keystone make an application credential that may look at this cluster, delete it and write a record of that,
    where the cluster has none that lives long enough. Set C(no_log).
  - Makes the bucket of the records. Writes those of clusters that were destroyed.
  - Removes credentials that no cluster needs any more, and what else clusters that are gone have left, such as load
    balancers.
  - What is wrong is told by RV(error), since C(no_log) would hide a failure.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Makes and removes no credential.
    support: full
options:
  name:
    description: The name of the cluster; where there is none, what no cluster needs is removed.
    type: str
    required: true
  state:
    description: Whether it is to end.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description: How long it is to live, such as V(12h); as it is, or twelve hours, if left out.
    type: str
  idle:
    description: How long nobody may use it before it ends, such as V(60m); as it is, or an hour, if left out.
    type: str
  longest:
    description: How long the site allows.
    type: str
  known:
    description: What the cluster tells, C(since), C(end), C(ttl), C(longest), C(idle); nothing if it does not end.
    type: dict
    default: {}
  credential:
    description: The identity of the credential that the cluster has; empty where it has none.
    type: str
    default: ""
  bucket:
    description: The bucket of the records; empty for none.
    type: str
    default: ""
  deleted:
    description: The clusters that the user has just deleted, as M(astrok8s.magnum.cluster) tells them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: When it ends
  astrok8s.magnum.lifetime:
    cloud: local
    name: hyades
    ttl: 12h
    longest: 7d
    bucket: astrok8s
  register: lifetime
  no_log: true
"""

RETURN = r"""
lifetime:
  description: C(since), C(end), C(ttl), C(longest), C(idle), and the last one in seconds as C(idle_s).
  returned: success
  type: dict
uuid:
  description: The cluster's.
  returned: success
  type: str
record:
  description: The URL of the record of its end, by Swift's API; empty where the cloud has no object storage.
  returned: success
  type: str
credential:
  description: A new one, with C(id), C(secret), C(auth_url), C(region) and C(interface); empty where the old one does.
  returned: success
  type: dict
removed:
  description: The names of what was removed.
  returned: success
  type: list
  elements: str
error:
  description: What is wrong; empty if nothing is.
  returned: always
  type: str
"""

from datetime import datetime, timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import endings, lifetime, orphans
from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.magnum import Magnum


def settle(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Settles when a cluster ends.

    Args:
        params: The module's.
        check_mode: Make and remove nothing.

    Returns:
        What the module returns, but for the error.

    Raises:
        MagnumError: Something is wrong.
    """
    connection = connect(params["cloud"])
    cluster = Magnum(connection).find(params["name"])
    held, uuid = params["credential"], cluster["uuid"] if cluster else ""
    if params["state"] == "absent":
        unwritten = [] if check_mode else tell(connection, params["bucket"], params["deleted"])
        removed, wrong = ([], []) if check_mode else orphans.sweep(connection, params["bucket"])
        removed += [] if check_mode else lifetime.remove_credentials(connection, "", uuid, spare=timedelta())
        return {"changed": bool(removed), "removed": removed, "warnings": unwritten + wrong}
    if cluster is None:
        raise MagnumError(f"The cloud {params['cloud']} has no cluster {params['name']}.", "Declare it by site.yml.")
    known = lifetime.Lifetime.read(params["known"]) if params["known"] else None
    wanted = lifetime.declared(params["ttl"], params["longest"], known, lifetime.now(), params["idle"])
    missing = endings.ready(connection, params["bucket"], make=not check_mode)
    record = endings.place(connection, params["bucket"], cluster["name"], uuid)
    removed, wrong = ([], []) if check_mode else orphans.sweep(connection, params["bucket"])
    removed += [] if check_mode else lifetime.remove_credentials(connection, held, uuid)
    good = lifetime.has_good(connection, held, uuid, wanted.end, record)
    made = {} if good or check_mode else lifetime.make_credential(connection, cluster, wanted.end, record)
    found = {"changed": missing or not good or wanted != known, "lifetime": wanted.tell(), "uuid": uuid}
    return found | {"record": record, "credential": made, "removed": removed, "warnings": wrong}


def tell(connection: Any, bucket: str, deleted: list[dict[str, Any]]) -> list[str]:
    """Writes the records of clusters that the user has deleted.

    Returns:
        What is wrong, where one could not be written: the cluster is gone, and nobody has to wait for that.
    """
    access = connection.session.auth.get_access(connection.session)
    destroyed = {"ended": lifetime.now().replace(microsecond=0), "why": "it was destroyed", "by": access.username}
    try:
        for entry in deleted:
            endings.ready(connection, bucket)
            since = datetime.fromisoformat(entry["since"])
            named = {"cluster": entry["name"], "uuid": entry["uuid"], "size": entry["size"], "since": since}
            endings.write(connection, bucket, endings.Ending(**named, **destroyed))
    except MagnumError as error:
        return [str(error)]
    return []


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "ttl": {"type": "str"},
            "idle": {"type": "str"},
            "longest": {"type": "str"},
            "known": {"type": "dict", "default": {}},
            "credential": {"type": "str", "default": "", "no_log": False},
            "bucket": {"type": "str", "default": ""},
            "deleted": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        result = settle(module.params, check_mode=module.check_mode)
    except MagnumError as error:
        module.exit_json(changed=False, error=str(error))
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result, error="")


if __name__ == "__main__":
    main()
