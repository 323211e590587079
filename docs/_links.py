"""Makes links of the names that pages write as code: options of roles, commands, and what Python has."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode


def _link(app: Sphinx, page: nodes.document, name: str) -> None:
    """Wraps code that is a name of the reference into a link to it."""
    for literal in list(page.findall(nodes.literal)):
        place = _place(app, literal.astext())
        if place and place[0] != name and not isinstance(literal.parent, nodes.reference | nodes.title):
            literal.replace_self(make_refnode(app.builder, name, *place, child=literal.deepcopy()))


def _place(app: Sphinx, text: str) -> tuple[str, str] | None:
    """Returns the page and the anchor of a name; None where it is none."""
    standard, python = app.env.domains.standard_domain, app.env.domains.python_domain
    if found := standard.objects.get(("roleoption", text.partition("=")[0])):
        return found
    words = text.split()
    for count in range(min(len(words), 3), 1, -1):
        if found := standard.anonlabels.get(f"command-{'-'.join(words[:count])}"):
            return found
    entry = python.objects.get(f"astrok8s.{text.partition('(')[0].removeprefix('astrok8s.')}")
    return (entry.docname, entry.node_id) if entry else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Is called by Sphinx."""
    app.connect("doctree-resolved", _link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
