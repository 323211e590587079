"""Waiting for a named predicate, with a deadline."""

import time
from collections.abc import Callable

from localcloud.errors import LocalcloudError

# Many predicates ask a program, which costs as much as what is waited for on a machine with two cores.
POLL_S = 0.2


class TimeoutExpiredError(LocalcloudError):
    """What was waited for did not become so in time."""


def wait_for(what: str, predicate: Callable[[], bool], *, timeout_s: float, remedy: str) -> None:
    """Waits until a predicate holds.

    Args:
        what: The predicate in words, as they follow "waited for".
        predicate: Whether it holds now; what it raises ends the wait.
        timeout_s: The deadline, in seconds from now.
        remedy: What to do if it does not hold by then; a full sentence.

    Raises:
        TimeoutExpiredError: The deadline passed.
    """
    asked = time.monotonic()
    deadline = asked + timeout_s
    while not predicate():
        answered = time.monotonic()
        if answered > deadline:
            raise TimeoutExpiredError(f"Waited {timeout_s:g} s for {what}.", remedy=remedy)
        # Where asking takes long, because the machine is slow or busy, what is waited for gets as much of it.
        time.sleep(max(POLL_S, answered - asked))
        asked = time.monotonic()
