"""Routes to what is the user's own: the credential for the cloud, and accesses to clusters of others."""

import asyncio
import json
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError, authenticated

from astrok8s import credentials
from astrok8s.granting import Access
from jupyterlab_astrok8s.handlers import Handler, request_body
from jupyterlab_astrok8s.schema import ACCESS, CREDENTIAL


class CredentialHandler(Handler):
    """`/astrok8s/credential`."""

    @authenticated
    @authorized
    async def put(self) -> None:
        """Keeps an application credential, if the cloud accepts it."""
        text = request_body(self.request.body, CREDENTIAL)["clouds"]
        cloud = await asyncio.to_thread(credentials.keep, text, cloud=self.clusters.cloud)
        self.finish(json.dumps({"cloud": cloud}))


class AccessesHandler(Handler):
    """`/astrok8s/accesses`."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Lists the accesses that the user was granted."""
        told = [_tell(identity, access) for identity, access in self.accesses.all().items()]
        self.finish(json.dumps({"accesses": told}))

    @authenticated
    @authorized
    async def post(self) -> None:
        """Keeps an access."""
        identity = self.accesses.add(request_body(self.request.body, ACCESS)["kubeconfig"])
        self.set_status(201)
        self.finish(json.dumps(_tell(identity, self.accesses.all()[identity])))


class AccessHandler(Handler):
    """`/astrok8s/accesses/ID`."""

    @authenticated
    @authorized
    async def delete(self, identity: str) -> None:
        """Forgets an access."""
        if not self.accesses.remove(identity):
            raise HTTPError(404, f"There is no access {identity}.")
        self.set_status(204)
        self.finish()


def _tell(identity: str, access: Access) -> dict[str, Any]:
    """Returns what the schema `Access` of openapi.yaml says."""
    home = Path.home()
    file = f"~/{access.file.relative_to(home)}" if access.file.is_relative_to(home) else str(access.file)
    told = {"id": identity, "cluster": access.cluster, "namespace": access.namespace, "file": file}
    return told | {"expires": access.expires.isoformat()}


HANDLERS = [
    ("credential", CredentialHandler),
    ("accesses", AccessesHandler),
    (r"accesses/([-\w]+)", AccessHandler),
]
