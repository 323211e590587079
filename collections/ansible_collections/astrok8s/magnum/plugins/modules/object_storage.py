#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Make a key to object storage, and a bucket."""

from __future__ import annotations

DOCUMENTATION = r"""
module: object_storage
short_description: A key to the object storage that Keystone's catalogue names, and a bucket in it
version_added: 0.1.0
description:
  - Finds the S3 service, has Keystone make an EC2 credential of the user for the project, or finds the one that was
    made under the same name, and makes the bucket with its folders, if it is not there.
  - Keystone's credentials have no names, so the name is kept beside the key in what Keystone stores. Credentials that
    were made by other means are left alone.
  - A bucket that cannot be made takes the key along that was made for it. Deletes keys only, never buckets.
  - Register the result with C(no_log).
author:
  - astrok8s (@astrok8s)
extends_documentation_fragment:
  - astrok8s.magnum.cloud
requirements:
  - boto3
options:
  name:
    description: What the key is for.
    type: str
    required: true
  state:
    description: Whether key and bucket are to be there; V(absent) deletes the key.
    type: str
    choices: [present, absent]
    default: present
  required:
    description: Whether to fail if the catalogue has no S3 service.
    type: bool
    default: false
  bucket:
    description: Name of the bucket; empty for the user's own, C(spark-USER-DIGITS).
    type: str
    default: ""
  folders:
    description: Folders to be there, each an empty object.
    type: list
    elements: str
    default: []
  endpoint:
    description: URL of the S3 service; empty for the one of Keystone's catalogue.
    type: str
    default: ""
  region:
    description: Its region; empty for the cloud's.
    type: str
    default: ""
  access:
    description: Public part of a key to use; empty for one of Keystone's.
    type: str
    default: ""
  secret:
    description: Secret part of that key.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: A key for the cluster hyades, and the user's own bucket
  astrok8s.magnum.object_storage:
    cloud: local
    name: hyades
  register: storage
  no_log: true

- name: No key
  astrok8s.magnum.object_storage:
    cloud: local
    name: hyades
    state: absent
"""

RETURN = r"""
endpoint:
  description: URL of the S3 service; empty when the catalogue has none.
  returned: when state is present
  type: str
region:
  description: Its region.
  returned: when state is present
  type: str
bucket:
  description: Name of the bucket.
  returned: when state is present
  type: str
access:
  description: Public part of Keystone's key; empty when there is none.
  returned: when state is present
  type: str
secret:
  description: Secret part of Keystone's key; empty when there is none.
  returned: when state is present
  type: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.magnum import MagnumError
from ..module_utils.storage import Bucket, Key, Keys, Place, StorageError, place, probe

NONE = Key("", "")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "required": {"type": "bool", "default": False},
            "bucket": {"type": "str", "default": ""},
            "folders": {"type": "list", "elements": "str", "default": []},
            "endpoint": {"type": "str", "default": ""},
            "region": {"type": "str", "default": ""},
            "access": {"type": "str", "default": "", "no_log": False},
            "secret": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        connection = connect(module.params["cloud"])
        result = absent(connection, module) if module.params["state"] == "absent" else present(connection, module)
    except (MagnumError, StorageError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def absent(connection: Any, module: Any) -> dict[str, Any]:
    """Delete the key."""
    keys = Keys(connection, module.params["name"])
    found = keys.all()
    if not module.check_mode:
        for credential, _ in found:
            keys.delete(credential)
    return {"changed": bool(found)}


def present(connection: Any, module: Any) -> dict[str, Any]:
    """Find the service, and make what is missing of key and bucket.

    Raises:
        StorageError: There is no service and there must be one, it refuses, or it does not answer.
    """
    params = module.params
    where = place(connection, params["endpoint"], params["region"], params["bucket"])
    if where is None:
        if params["required"]:
            raise StorageError(
                f"the catalogue of cloud {params['cloud']} has no service of type s3: set spark_storage_endpoint to "
                "the URL of one, or spark_storage_required to false to do without history"
            )
        return {"changed": False, **asdict(Place("", "", "")), **asdict(NONE)}
    if params["access"]:
        given = Key(params["access"], params["secret"])
        changed = ensure(Bucket(where, given), params["folders"], module.check_mode)
        return {"changed": changed, **asdict(where), **asdict(NONE)}
    keys = Keys(connection, params["name"])
    if found := keys.all():
        changed = ensure(Bucket(where, found[0][1]), params["folders"], module.check_mode)
        return {"changed": changed, **asdict(where), **asdict(found[0][1])}
    # before there is a key that nobody needs
    probe(where)
    key = NONE if module.check_mode else made(keys, where, params["folders"])
    return {"changed": True, **asdict(where), **asdict(key)}


def made(keys: Keys, where: Place, folders: list[str]) -> Key:
    """Make a key, and with it the bucket; without the bucket there is no key."""
    key = keys.create()
    try:
        ensure(Bucket(where, key), folders, check_mode=False)
    except StorageError:
        for credential, _ in keys.all():
            keys.delete(credential)
        raise
    return key


def ensure(bucket: Bucket, folders: list[str], check_mode: bool) -> bool:
    """Make what is missing; return whether anything is."""
    there = bucket.exists()
    missing = [folder for folder in folders if not (there and bucket.has(f"{folder}/"))]
    if check_mode:
        return not there or bool(missing)
    if not there:
        bucket.create()
    for folder in missing:
        bucket.mark(folder)
    return not there or bool(missing)


if __name__ == "__main__":
    main()
