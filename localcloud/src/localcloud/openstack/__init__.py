"""The OpenStack services of a localcloud: Keystone, Glance, Nova, Neutron, Magnum and Swift.

They are the real services, as plain processes with SQLite databases, on the loopback device or the bridge.
`prepare` writes what they need, `programs` says how to run them, `wait` tells when they answer
and `seed` fills the cloud through its own APIs.
"""

from __future__ import annotations

from localcloud.openstack.clouds_yaml import remove as remove_clouds_yaml
from localcloud.openstack.clouds_yaml import write as write_clouds_yaml
from localcloud.openstack.database import check as check_databases
from localcloud.openstack.prepare import prepare
from localcloud.openstack.programs import programs
from localcloud.openstack.ready import alive, wait
from localcloud.openstack.seed import seed

__all__ = ["alive", "check_databases", "prepare", "programs", "remove_clouds_yaml", "seed", "wait", "write_clouds_yaml"]
