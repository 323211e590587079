"""What a session of Spark Connect does when its server is not reached."""

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from pyspark.sql.connect.client.retries import Retrying

from astrok8s import AttachError, ClusterGoneError, ClusterNotFoundError, _connect


class Gone(grpc.RpcError):  # type: ignore[misc]
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def trailing_metadata(self) -> None:
        return None


def tries(policy: Any, fails: int) -> int:
    """Returns how often a call was tried that fails at first."""
    made = 0
    for attempt in Retrying(policy, sleep=lambda _: None):
        with attempt:
            made += 1
            if made <= fails:
                raise Gone
    return made


def policy(
    why: str = "no route to host", refused: AttachError | None = None, gone: ClusterNotFoundError | None = None
) -> Any:
    tunnel = SimpleNamespace(why=why, refused=refused, account=SimpleNamespace(look="See that it is there."))
    return _connect._policy(SimpleNamespace(name="hyades", gone=lambda: gone), tunnel)  # type: ignore[arg-type]


def test_a_call_is_tried_again_until_the_connection_is_back() -> None:
    assert tries(policy(), fails=3) == 4


def test_who_waits_in_vain_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connect, "_RECONNECT_S", -1)
    with pytest.raises(
        AttachError, match=r"The connection to hyades was lost.*: no route to host\. See that it is there\. Then"
    ):
        tries(policy(), fails=100)


def test_who_waits_for_a_cluster_that_is_gone_is_told_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connect, "_RECONNECT_S", -1)
    ended = ClusterNotFoundError("The cluster hyades ended: its time was over.", remedy="Make it again.")
    with pytest.raises(ClusterGoneError) as caught:
        tries(policy(gone=ended), fails=100)
    shown = "The cluster hyades ended: its time was over. Make it again. Then attach again."
    assert caught.value._render_traceback_() == [shown]


def test_who_has_waited_in_vain_is_not_kept_waiting_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connect, "_RECONNECT_S", -1)
    lost = policy()
    with pytest.raises(AttachError):
        tries(lost, fails=100)
    monkeypatch.setattr(_connect, "_RECONNECT_S", 1000)
    with pytest.raises(AttachError):
        tries(lost, fails=1)
    monkeypatch.setattr(_connect, "_GIVEN_UP_S", 0)
    assert tries(lost, fails=1) == 2


def test_who_is_refused_for_a_while_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = policy(refused=AttachError("Revoked.", remedy="Ask."))
    assert tries(refused, fails=3) == 4
    monkeypatch.setattr(_connect, "_REFUSED_S", -1)
    with pytest.raises(AttachError, match="Revoked"):
        tries(refused, fails=100)
