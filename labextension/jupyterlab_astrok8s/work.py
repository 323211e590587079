"""The process of one operation: `python -m jupyterlab_astrok8s.work FOLDER`."""

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from astrok8s import AstroK8sError, ProvisionError, get_cluster, granting, provision
from astrok8s.provisioning import destroy, resize
from jupyterlab_astrok8s.operations import Operation


def main(folder: Path) -> None:
    """Does what an operation is to do, and writes what happens.

    Args:
        folder: The operation's folder.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the server may have it ignored
    operation = Operation(folder)
    operation.write("begin", process=os.getpid())
    try:
        if operation.is_cancelled():
            raise KeyboardInterrupt
        _do(operation)
    except AstroK8sError as error:
        if isinstance(error, ProvisionError):
            print(error.output)
        _end(operation, "failed", error.fact, error.remedy)
    except KeyboardInterrupt:
        _end(operation, "cancelled", f"{operation.request['cluster']} was left as it was then.", operation.go_on())
    except Exception as error:
        traceback.print_exc()
        _end(operation, "failed", f"{type(error).__name__}: {error}.", "This is an error of astrok8s; see the log.")
    else:
        operation.write("end", state="succeeded", error=None)


def _do(operation: Operation) -> None:
    request = operation.request
    name, arguments = request["cluster"], dict(request["arguments"])
    arguments["report"] = lambda title: operation.write("step", title=title)
    if request["verb"] in ("grant", "revoke"):
        cluster = get_cluster(name, cloud=arguments.pop("cloud"))
        function: Any = {"grant": granting.grant, "revoke": granting.revoke}[request["verb"]]
        function(cluster, **arguments)
    else:
        function = {"provision": provision, "resize": resize, "destroy": destroy}[request["verb"]]
        function(name, **arguments)


def _end(operation: Operation, state: str, fact: str, remedy: str) -> None:
    operation.write("end", state=state, error={"fact": fact, "remedy": remedy})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
