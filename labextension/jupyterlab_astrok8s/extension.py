"""The server extension: where its parts are put together."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from tornado.ioloop import PeriodicCallback
from traitlets import Int, Unicode

from jupyterlab_astrok8s import handlers, hub, own_handlers, pages
from jupyterlab_astrok8s.accesses import Accesses
from jupyterlab_astrok8s.handlers import Clusters
from jupyterlab_astrok8s.operations import Operations

_BUSY_EVERY_MS = 60_000


class AstroK8sExtension(ExtensionApp):
    """Serves astrok8s under `/astrok8s/`."""

    name = "jupyterlab_astrok8s"

    cloud = Unicode(None, allow_none=True, help="The entry of clouds.yaml; $OS_CLOUD, else local.").tag(config=True)
    operations_dir = Unicode(help="The folder where operations write what they do.").tag(config=True)
    accesses_dir = Unicode(help="The folder of the accesses that the user was granted.").tag(config=True)
    bundles = Unicode(None, allow_none=True, help="The site's file of bundles of Spark's properties, in YAML.").tag(
        config=True
    )
    keep_days = Int(7, min=0, help="For how many days after their end operations are kept.").tag(config=True)

    def _operations_dir_default(self) -> str:
        return str(Path(jupyter_data_dir()) / "astrok8s" / "operations")

    def _accesses_dir_default(self) -> str:
        return str(Path(jupyter_data_dir()) / "astrok8s" / "accesses")

    def initialize_handlers(self) -> None:
        """Adds the routes."""
        operations = Operations(Path(self.operations_dir), timedelta(days=self.keep_days))
        bundles = Path(self.bundles) if self.bundles else None
        accesses = Accesses(Path(self.accesses_dir))
        hub.take(os.environ, accesses, self.cloud)
        parts = {"clusters": Clusters(self.cloud), "operations": operations, "bundles": bundles, "accesses": accesses}
        routes = [*handlers.HANDLERS, *own_handlers.HANDLERS, *pages.HANDLERS]
        self.handlers.extend((rf"/astrok8s/{route}", handler, parts) for route, handler in routes)
        self._busy = PeriodicCallback(lambda: self._keep_server(operations), _BUSY_EVERY_MS)
        self._busy.start()

    async def stop_extension(self) -> None:
        """Leaves the operations as they are: they go on."""
        self._busy.stop()

    def _keep_server(self, operations: Operations) -> None:
        """Keeps the server from being culled while an operation runs: where its machine or pod goes, that goes too."""
        if any(told["state"] == "running" for told in operations.describe()):
            self.settings["api_last_activity"] = datetime.now(UTC)
