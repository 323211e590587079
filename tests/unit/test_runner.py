"""How the events of Ansible become errors. It runs for real in tests/acceptance."""

from typing import Any

import pytest

from astrok8s._runner import environment, error_from, message_of


def failure(**result: Any) -> dict[str, Any]:
    data = {"role": "cloud", "task": "Check the cloud", "res": result}
    return {"event": "runner_on_failed", "event_data": data}


def test_an_error_has_role_task_and_message() -> None:
    error = error_from([failure(msg="The quota does not allow it.")], "all of it", "failed")
    assert str(error) == "cloud: Check the cloud: The quota does not allow it."
    assert (error.role, error.task, error.output) == ("cloud", "Check the cloud", "all of it")
    assert error.message == "The quota does not allow it."


def test_a_failure_that_was_ignored_is_not_the_error() -> None:
    ignored = failure(msg="not this")
    ignored["event_data"]["ignore_errors"] = True
    assert error_from([failure(msg="this"), ignored], "", "failed").message == "this"


def test_without_a_failed_task_the_output_is_the_error() -> None:
    assert str(error_from([], "\nERROR! no such file\n\n", "failed")) == "ERROR! no such file"
    assert str(error_from([], "", "timeout")) == "ansible-playbook ended with status timeout, and printed nothing."


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"censored": "hidden"}, "The task failed; its result holds credentials and is kept secret."),
        ({"cmd": ["x"], "msg": "non-zero return code", "stderr": "No room.\n"}, "No room."),
        ({"results": [{"msg": "ok"}, {"failed": True, "msg": "bad"}], "msg": "One or more items failed"}, "bad"),
        ({"module_stderr": "Traceback"}, "Traceback"),
        ({}, "The task failed without a message."),
    ],
)
def test_the_message_is_what_tells_most(result: dict[str, Any], message: str) -> None:
    assert message_of(result) == message


def test_no_secret_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "s3cret")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD", "s3cret")
    prepared = {"OS_PASSWORD": "s3cret", "ANSIBLE_VAULT_PASSWORD": "s3cret", "HOME": "/h", "https_proxy": "p"}
    kept = environment(prepared | {"ANSIBLE_CALLBACK_PLUGINS": "ours", "PATH": "/bin"})
    assert "s3cret" not in kept.values()
    assert kept.keys() == {"HOME", "https_proxy", "ANSIBLE_CALLBACK_PLUGINS", "PATH", "ANSIBLE_CONFIG"}
