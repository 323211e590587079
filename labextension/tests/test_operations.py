"""Operations are processes of their own, real ones: the cloud that they go to does not answer."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contract import conforms
from jupyterlab_astrok8s.operations import Operation, Operations
from tornado.httpclient import HTTPClientError

DECLARATION = '{"name": "one", "size": 3}'


async def operation_of(jp_fetch: Any, identity: str) -> dict[str, Any]:
    told = json.loads((await jp_fetch("astrok8s", "operations", identity)).body)
    conforms(told, "Operation")
    return dict(told)


async def end_of(jp_fetch: Any, identity: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (told := await operation_of(jp_fetch, identity))["state"] == "running":
            await asyncio.sleep(0.1)
    return told


async def start(jp_fetch: Any, jp_base_url: str) -> str:
    made = await jp_fetch("astrok8s", "clusters", method="POST", body=DECLARATION)
    told = json.loads(made.body)
    conforms(told, "Operation")
    assert (made.code, told["state"], told["arguments"]["size"]) == (202, "running", 3)
    assert made.headers["Location"] == f"{jp_base_url}astrok8s/operations/{told['id']}"
    return str(told["id"])


def process_of(operation: Operation) -> int | None:
    """Returns the process of an operation, which has its folder as its last argument."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0").endswith(str(operation.folder).encode()):
                return int(path.parent.name)
        except OSError:  # it has ended meanwhile
            continue
    return None


async def test_a_failure_is_told_with_its_log_and_can_be_forgotten(jp_fetch: Any, jp_base_url: str) -> None:
    identity = await start(jp_fetch, jp_base_url)
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "clusters", method="POST", body=DECLARATION)
    assert caught.value.code == 409
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "operations", identity, method="DELETE")
    assert caught.value.code == 409
    told = await end_of(jp_fetch, identity)
    assert told["state"] == "failed"
    assert "The cloud far does not answer" in told["error"]["fact"]
    log = (await jp_fetch("astrok8s", "operations", identity, "log")).body.decode()
    assert "PLAY RECAP" in log
    assert (await jp_fetch("astrok8s", "operations", identity, method="DELETE")).code == 204
    assert json.loads((await jp_fetch("astrok8s", "operations")).body) == {"operations": []}


async def test_one_is_cancelled(jp_fetch: Any, jp_base_url: str) -> None:
    identity = await start(jp_fetch, jp_base_url)
    await jp_fetch("astrok8s", "operations", identity, "cancel", method="POST", body="")
    told = await end_of(jp_fetch, identity)
    assert told["state"] == "cancelled"
    assert told["error"]["remedy"] == "Make it again under the same name to finish it, or destroy it."


async def test_one_that_was_killed_is_told(jp_fetch: Any, jp_base_url: str, operations_dir: Path) -> None:
    identity = await start(jp_fetch, jp_base_url)
    process = process_of(Operation(operations_dir / identity))
    assert process
    os.kill(process, signal.SIGKILL)
    told = await end_of(jp_fetch, identity)
    assert (told["state"], told["error"]["fact"]) == (
        "lost",
        "The process that was to provision was killed; one was left as it was then.",
    )
    assert told["ended"] >= told["started"][:-10]


async def test_the_stream_tells_all_again_and_then_what_changes(jp_fetch: Any, jp_base_url: str) -> None:
    identity = await start(jp_fetch, jp_base_url)
    seen: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def read(chunk: bytes) -> None:
        for block in chunk.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if lines:
                seen.put_nowait((lines["event"], json.loads(lines["data"])))

    stream = asyncio.ensure_future(jp_fetch("astrok8s", "events", streaming_callback=read, request_timeout=0))
    async with asyncio.timeout(60):
        told: list[dict[str, Any]] = []
        while not told or told[-1]["state"] == "running":
            kind, data = await seen.get()
            assert kind == "operation"
            conforms(data, "Operation")
            told.append(data)
        assert [told[0]["state"], told[-1]["state"]] == ["running", "failed"]
        await jp_fetch("astrok8s", "operations", identity, method="DELETE")
        assert await seen.get() == ("removed", {"id": identity})
    stream.cancel()


def test_those_that_ended_long_ago_go(tmp_path: Path) -> None:
    def end(identity: str, at: datetime) -> None:
        operation = Operation(tmp_path / identity)
        operation.folder.mkdir()
        request = {"verb": "destroy", "cluster": "one", "arguments": {}, "started": at.isoformat()}
        (operation.folder / "request.json").write_text(json.dumps(request))
        (operation.folder / "lock").touch()
        event = {"kind": "end", "at": at.isoformat(), "state": "succeeded", "error": None}
        (operation.folder / "events.jsonl").write_text(json.dumps(event) + "\n")

    now = datetime.now(UTC)
    end("20260101T000000", now - timedelta(days=8))
    end("20260102T000000", now - timedelta(days=6))
    left = Operations(tmp_path, timedelta(days=7)).describe()
    assert [told["id"] for told in left] == ["20260102T000000"]
    assert [path.name for path in tmp_path.iterdir()] == ["20260102T000000"]
