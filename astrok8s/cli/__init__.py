"""The command `astrok8s`: what the package does, in a terminal.

It exits with 0 when what was asked for is done, with 1 when that failed or a check is red, with 2 when it was used
wrongly.
"""

import typer

from astrok8s.cli import access, checks, clusters, notebooks, others
from astrok8s.cli._shown import table

__all__ = ["app", "main", "table"]

_CLUSTERS, _SESSIONS, _OTHERS = "Clusters", "Sessions and users", "More"

app = typer.Typer(
    help="Disposable Spark clusters on OpenStack Magnum.",
    epilog="Exits with 0: done; 1: failed, or a check is red; 2: used wrongly.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel=_CLUSTERS)(clusters.provision)
app.command("up", rich_help_panel=_CLUSTERS, help="The same as provision, in short.")(clusters.provision)
app.command("list", rich_help_panel=_CLUSTERS)(clusters.list_)
app.command(rich_help_panel=_CLUSTERS)(clusters.show)
app.command(rich_help_panel=_CLUSTERS)(clusters.resize)
app.command(rich_help_panel=_CLUSTERS)(clusters.extend)
app.command(rich_help_panel=_CLUSTERS)(clusters.logs)
app.command(rich_help_panel=_CLUSTERS)(clusters.destroy)
app.command(rich_help_panel=_SESSIONS)(access.attach)
app.command(rich_help_panel=_SESSIONS)(access.history)
app.command(rich_help_panel=_SESSIONS)(access.grant)
app.command(rich_help_panel=_SESSIONS)(access.revoke)
app.add_typer(access.app, name="access", rich_help_panel=_SESSIONS)
app.command(rich_help_panel=_OTHERS)(checks.doctor)
app.command(rich_help_panel=_OTHERS)(others.options)
app.command(rich_help_panel=_OTHERS)(others.pack)
app.add_typer(notebooks.app, name="notebooks", rich_help_panel=_OTHERS)


def main() -> None:
    """Runs the command."""
    app()
