"""A notebook in a page of JupyterLab, and the button that attaches it."""

import json
from pathlib import Path
from typing import Any

from browser import MINUTES_MS, problems, ready
from jupyter import Jupyter
from playwright.sync_api import Locator, Page, expect


def write_notebook(path: Path, *sources: str) -> None:
    """Writes a notebook of code cells."""
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [cell | {"id": f"cell-{number}", "source": source} for number, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}
    path.write_text(json.dumps(notebook))


def end_kernels(jupyter: Jupyter) -> None:
    """Ends all kernels of a server."""
    for session in jupyter.get("/api/sessions").json():
        jupyter.ask("DELETE", f"/api/sessions/{session['id']}").raise_for_status()


def open_notebook(page: Page, jupyter: Jupyter, file: Path) -> None:
    """Opens a notebook, and waits for its kernel."""
    page.goto(f"{jupyter.url}/lab/tree/{file.name}?reset")
    ready(page)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached")


def spark(page: Page, state: str) -> Locator:
    """Waits until the button says a state, and returns it."""
    button = page.get_by_role("button", name=f"Spark: {state}", exact=True)
    expect(button).to_be_visible(timeout=MINUTES_MS)
    return button


def open_dialog(page: Page, button: Locator) -> Locator:
    """Presses the button, and returns what asks how to attach."""
    button.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Cluster", exact=True)).to_be_focused()
    assert problems(page, ".jp-Dialog") == []
    return dialog
