"""How Sphinx makes pages of this folder: `make docs`. Nothing is fetched, and the pages load nothing from elsewhere."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the reference is read from, wherever the environment has it.
sys.path[:0] = [str(ROOT / "docs"), str(ROOT), str(ROOT / "collections"), str(ROOT / "localcloud")]

project = "astrok8s"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_reference", "_links"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
highlight_language = "none"  # a block says what it is

smartquotes = False  # what is in quotes may be copied
default_role = "literal"  # docstrings write code as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have defaults; docstrings say what may be given
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"astrok8s {release}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["pages.css"]
