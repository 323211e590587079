"""The page of the five minutes, as a reader does it: its blocks, in their order, on a box's cloud."""

import os
import re
from collections.abc import Iterator

import pytest
from boxes import ROOT, SITE_BIN, Box

PAGE = ROOT / "docs" / "start.md"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(f"docs{os.getpid()}", tmp_path_factory.mktemp("docs"))
    up = box.localcloud("up")
    assert up.returncode == 0, up.stderr
    yield box
    box.localcloud("destroy")


def walk() -> Iterator[list[str]]:
    """The commands of the page; its Python as one program, where it begins."""
    text = PAGE.read_text(encoding="utf-8")
    blocks: list[tuple[str, str]] = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    program = "\n".join(block for language, block in blocks if language == "python")
    begun = False
    for language, block in blocks:
        if language == "python" and not begun:
            begun = True
            yield [str(SITE_BIN / "python"), "-c", program]
        elif language == "sh" and ".venv/bin/astrok8s" in block:  # others are about the checkout, and the user's cloud
            yield ["bash", "-euc", block]


def test_the_five_minutes_go_as_the_page_says(box: Box) -> None:
    told = []
    for command in walk():
        run = box.run(*command, OS_CLOUD=box.name)
        assert run.returncode == 0, (command, run.stdout, run.stderr)
        told.append(run.stdout)
    made, summed, looked, gone = told
    assert made.count("CREATE_COMPLETE") == 2  # it is made, and listed
    assert "499999999500000000" in summed
    assert re.search(r"ends at .*\.", looked)
    assert re.search(r"(spark|app)-\w+", looked)
    assert "Cluster hyades is gone." in gone
