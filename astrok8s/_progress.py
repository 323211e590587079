"""Shows what a long operation is doing: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Progress:
    """Lines with the time since the start; the last one is alive on a terminal.

    Args:
        stream: Where to write; standard error if None.
        quiet: Write nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._console = Console(file=stream or sys.stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self._live: Status | None = None
        self._start = time.monotonic()
        self._text = ""

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._console.quiet:
            self._live = Status("", console=self._console)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Say what is being done now; the same text twice is one line."""
        if text == self._text:
            return
        self._text = text
        line = f"[dim]{time.monotonic() - self._start:6.1f} s[/]  {escape(text)}"
        self._console.print(line)
        if self._live:
            self._live.update(f"{escape(text)} …")
