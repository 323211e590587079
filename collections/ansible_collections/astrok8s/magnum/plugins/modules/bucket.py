#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Make sure that a bucket is there, and tell how it is reached."""

DOCUMENTATION = r"""
module: bucket
short_description: The user's key of the cloud's object storage, and a bucket of it
version_added: 0.1.0
description:
  - Makes a bucket in the project where there is none, if one is named. It is never removed, and never emptied.
  - Tells how S3 reaches it, with a key that Keystone keeps for the user; it makes one where the user has none. Set
    C(no_log).
  - A cloud without S3 in its catalogue is no error, but has no bucket; nor is a user to whom Keystone gives no key, as
    where an application credential is used.
  - What is wrong is told by RV(error), since C(no_log) would hide a failure.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Makes neither a bucket nor a key.
    support: full
options:
  name:
    description: The name of the bucket; none if left out.
    type: str
"""

EXAMPLES = r"""
- name: Bucket for event logs
  astrok8s.magnum.bucket:
    cloud: local
    name: spark-events
  register: storage
  no_log: true
"""

RETURN = r"""
s3:
  description: Its C(url), C(region), C(access_key) and C(secret_key); empty where the cloud has no S3.
  returned: always
  type: dict
without:
  description: Why there is no key, where the cloud has S3.
  returned: where Keystone gives none
  type: str
error:
  description: What is wrong; empty if nothing is.
  returned: always
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.storage import check_bucket, check_bucket_name, key, make_bucket, s3


def present(connection: Any, name: str | None, *, check_mode: bool) -> dict[str, Any]:
    """Makes sure that a bucket is there, if one is named.

    Returns:
        What the module returns, but for the error.
    """
    where = s3(connection)
    if where is None:
        return {"changed": False, "s3": {}}
    try:
        own = key(connection, make=not check_mode)
    except MagnumError as error:
        return {"changed": False, "s3": {}, "without": str(error)}
    missing = name is not None and not check_bucket(connection, name)
    if name is not None and missing and not check_mode:
        make_bucket(connection, name)
    keys = {"access_key": own.access if own else "", "secret_key": own.secret if own else ""}
    return {"changed": missing, "s3": {"url": where.url, "region": where.region, **keys}}


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={"cloud": {"type": "str", "required": True}, "name": {"type": "str"}},
        supports_check_mode=True,
    )
    try:
        if module.params["name"] is not None:
            check_bucket_name(module.params["name"])
        connection = connect(module.params["cloud"])
        result = present(connection, module.params["name"], check_mode=module.check_mode)
    except MagnumError as error:
        module.exit_json(changed=False, s3={}, error=str(error))
    module.exit_json(**result, error="")


if __name__ == "__main__":
    main()
