"""A stand-in for the node plugin of cvmfs-csi, which takes what that documents, and nothing else.

It runs in a pod of the image `spark` on every node, beside a client of CVMFS whose mounts are its folder of all
repositories. The calls are those of kubelet's plugin registration 1 and of the Container Storage Interface 1.
"""

import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

DRIVER = "cvmfs.csi.cern.ch"
KUBELET = Path("/var/lib/kubelet")
SOCKET = KUBELET / "plugins" / DRIVER / "csi.sock"
REPOSITORIES = "/var/cvmfs"
READ_ONLY_MANY = 3

TEXT = 2


def message(texts: Mapping[int, str]) -> bytes:
    """Returns a message of short texts, by the numbers of their fields."""
    return b"".join(bytes([number << 3 | TEXT, len(text)]) + text.encode() for number, text in texts.items())


def fields(content: bytes) -> dict[int, bytes | int]:
    """Returns what a message says, by the numbers of its fields."""
    return dict(_fields(iter(content)))


def _fields(rest: Iterator[int]) -> Iterator[tuple[int, bytes | int]]:
    while (key := _number(rest)) is not None:
        value = _number(rest)
        assert value is not None
        yield key >> 3, bytes(next(rest) for _ in range(value)) if key & 7 == TEXT else value


def _number(rest: Iterator[int]) -> int | None:
    value = None
    for place, byte in enumerate(rest):
        value = (value or 0) | (byte & 127) << 7 * place
        if byte < 128:
            break
    return value


def publish(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Mounts the folder of all repositories for a pod."""
    volume = fields(request)
    capability = fields(bytes(volume[5]))
    mode = fields(bytes(capability[3])).get(1) if isinstance(capability.get(3), bytes) else None
    if 8 in volume or mode != READ_ONLY_MANY or 2 not in capability:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a volume of all repositories: {volume}")
    target = Path(bytes(volume[4]).decode())
    target.mkdir(parents=True, exist_ok=True)
    if not _is_mount(target):
        subprocess.run(["mount", "--rbind", REPOSITORIES, target], check=True)
    return b""


def unpublish(request: bytes, _context: grpc.ServicerContext) -> bytes:
    """Takes it away."""
    target = Path(bytes(fields(request)[2]).decode())
    if _is_mount(target):
        subprocess.run(["umount", "--lazy", target], check=True)
    if target.exists():
        target.rmdir()
    return b""


def _is_mount(target: Path) -> bool:
    # Not Path.is_mount: it does not know a folder of the same file system.
    return subprocess.run(["mountpoint", "--quiet", target], check=False).returncode == 0


def serve(path: Path, service: str, calls: Mapping[str, Callable[[bytes, grpc.ServicerContext], bytes]]) -> grpc.Server:
    """Answers the calls of a service on a socket."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {call: grpc.unary_unary_rpc_method_handler(function) for call, function in calls.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    return server


def main() -> None:
    """Serves kubelet until the pod ends."""
    node = {
        "NodeGetInfo": lambda *_: message({1: socket.gethostname()}),
        "NodeGetCapabilities": lambda *_: b"",
        "NodePublishVolume": publish,
        "NodeUnpublishVolume": unpublish,
    }
    registration = {
        "GetInfo": lambda *_: message({1: "CSIPlugin", 2: DRIVER, 3: str(SOCKET), 4: "1.0.0"}),
        "NotifyRegistrationStatus": lambda *_: b"",
    }
    servers = [
        serve(SOCKET, "csi.v1.Node", node),
        serve(KUBELET / "plugins_registry" / f"{DRIVER}-reg.sock", "pluginregistration.Registration", registration),
    ]
    for server in servers:
        server.wait_for_termination()


if __name__ == "__main__":
    main()
