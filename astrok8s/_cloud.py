"""The connection to OpenStack, and its errors as ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from astrok8s._errors import CloudError

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum


def cloud_name(cloud: str | None) -> str:
    """Return the clouds.yaml entry to use: the one given, else ``$OS_CLOUD``, else ``local``."""
    return cloud or os.environ.get("OS_CLOUD") or "local"


@contextmanager
def magnum(cloud: str | None) -> Iterator[Magnum]:
    """Give the Magnum of a cloud; what goes wrong within is a CloudError.

    Args:
        cloud: Its entry in clouds.yaml; see `cloud_name`.

    Raises:
        CloudError: The cloud is unknown, cannot be reached, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.connection import connect
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum, MagnumError
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    name = cloud_name(cloud)
    try:
        with connect(name) as connection:
            yield Magnum(connection)
    except MagnumError as error:
        raise CloudError(str(error)) from error
    except (ClientException, SDKException) as error:
        raise CloudError(
            f"cloud {name} failed: {error}; see whether `openstack --os-cloud {name} coe cluster list` works"
        ) from error
