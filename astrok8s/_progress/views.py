"""How the progress of an operation is shown: alive on a terminal and in a notebook, by lines elsewhere."""

import contextvars
import sys
import threading
from html import escape as html_escape
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from astrok8s._progress.state import Stage, State

_REFRESH_S = 1.0


class View(Protocol):
    """Shows a state, from `start` to `stop`."""

    def start(self) -> None:
        """Begins to show it."""

    def said(self) -> None:
        """Takes that there is another text."""

    def saw(self) -> None:
        """Takes that something else is seen of the cluster."""

    def stop(self) -> None:
        """Shows what there is at last."""


def view_of(state: State, *, quiet: bool) -> View:
    """Returns the view that suits where this process runs.

    Args:
        state: What is shown.
        quiet: Show nothing.
    """
    if quiet:
        return Lines(state, Console(quiet=True))
    if (shell := _live_notebook()) is not None:
        return Notebook(state, shell)
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True, force_jupyter=False)
    return Terminal(state, console) if console.is_terminal else Lines(state, console)


def _live_notebook() -> Any:
    """Returns the shell of a notebook that somebody looks at; None elsewhere.

    Who runs a notebook without looking, as papermill, does not say from which cell a request is.
    """
    if "ipykernel" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    asked = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return shell if (asked.get("metadata") or {}).get("cellId") else None


class Lines:
    """Lines with the time since the start."""

    def __init__(self, state: State, console: Console) -> None:
        self._state, self._console = state, console

    def start(self) -> None:
        pass

    def said(self) -> None:
        self._print(self._state.text)

    def saw(self) -> None:
        if self._state.seen:
            self._print(self._state.seen)

    def stop(self) -> None:
        pass

    def _print(self, text: str) -> None:
        self._console.print(f"[dim]{self._state.elapsed():6.1f} s[/]  {escape(text)}")


class Terminal:
    """The stages, if there are some, and what is waited for; else lines, of which the last is alive."""

    def __init__(self, state: State, console: Console) -> None:
        self._state, self._lines = state, Lines(state, console)
        self._live: Live | Status
        if state.stages:
            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)
        else:
            self._live = Status("", console=console)

    def start(self) -> None:
        self._live.start()

    def said(self) -> None:
        if isinstance(self._live, Status):
            self._lines.said()
            self._live.update(f"{escape(self._state.text)} …")

    def saw(self) -> None:
        pass  # it is looked at

    def stop(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        for stage in self._state.stages:
            style = "bold" if stage.began is not None else "" if stage.took is not None else "dim"
            rows.add_row(Text(_mark(stage)), Text(stage.name, style), Text(stage.words(), style))
        below = [Text(line, "dim", overflow="ellipsis", no_wrap=True) for line in _below(self._state)]
        return Group(rows, *below)


class Notebook:
    """The same as HTML, which is replaced while it goes on."""

    def __init__(self, state: State, shell: Any) -> None:
        self._state, self._shell = state, shell
        self._over, self._changed = threading.Event(), threading.Event()
        self._handle: Any = None

    def start(self) -> None:
        from IPython.display import HTML, display

        self._handle = display(HTML(self._html()), display_id=True)  # type: ignore[no-untyped-call]
        # What is displayed by another thread goes to the cell of its context.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._refresh,), name="progress", daemon=True)
        self._thread.start()

    def said(self) -> None:
        self._changed.set()

    def saw(self) -> None:
        self._changed.set()

    def stop(self) -> None:
        self._over.set()
        self._changed.set()
        self._thread.join()
        self._show()

    def _refresh(self) -> None:
        while not self._over.is_set():
            self._changed.wait(_REFRESH_S)
            self._changed.clear()
            self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        self._handle.update(HTML(self._html()))  # type: ignore[no-untyped-call]

    def _html(self) -> str:
        rows = "".join(
            f"<tr><td>{_mark(stage)}</td><td>{html_escape(stage.name)}</td><td>{stage.words()}</td></tr>"
            for stage in self._state.stages
        )
        below = "".join(f"<div>{html_escape(line)}</div>" for line in _below(self._state))
        return f'<div role="status"><table>{rows}</table>{below}</div>' if rows else f'<div role="status">{below}</div>'


def _mark(stage: Stage) -> str:
    return "now" if stage.began is not None else "done" if stage.took is not None else ""


def _below(state: State) -> list[str]:
    """Returns what is being done, and what is seen meanwhile."""
    doing = f"{state.elapsed():.0f} s  {state.text}".rstrip()
    return [doing, state.seen] if state.seen else [doing]
