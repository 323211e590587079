"""Shows what a long operation is doing: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Progress:
    """Lines with the time since the start; the last one is alive on a terminal.

    Args:
        quiet: Write nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(file=sys.stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self._live = Status("", console=self._console)
        self._start = time.monotonic()
        self._text = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Says what is being done now; the same text again is no news."""
        if text != self._text:
            self._text = text
            self._console.print(f"[dim]{time.monotonic() - self._start:6.1f} s[/]  {escape(text)}")
            self._live.update(f"{escape(text)} …")
