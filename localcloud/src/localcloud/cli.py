"""The command ``localcloud``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from localcloud import cvmfs, lifecycle, openstack
from localcloud import doctor as examiner
from localcloud.cluster.node import NodeBook
from localcloud.cluster.spec import Status
from localcloud.cvmfs import commands
from localcloud.prerequisites import LocalcloudError
from localcloud.settings import Settings
from localcloud.state import DamagedStateError
from localcloud.supervisor import Supervisor
from localcloud.terminal import Home, Json, err, errors, out

app = typer.Typer(
    help="OpenStack Magnum with real Kubernetes clusters, on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(commands.app, name="cvmfs")
Number = Annotated[
    int | None, typer.Option(help="0 to 7: its offset of ports and devices, and of ranges unless given.")
]
NodeRange = Annotated[str | None, typer.Option(help="Addresses of nodes: a /24 for each cluster, and one more.")]
PodRange = Annotated[str | None, typer.Option(help="Addresses of pods: a /18 for each cluster.")]


class Power(StrEnum):
    """Of a node's machine."""

    ON = "on"
    OFF = "off"


def _images() -> Path:
    """Return the folder of images in the clone that this package is installed from."""
    if given := os.environ.get("LOCALCLOUD_IMAGES"):
        return Path(given).absolute()
    return Path(__file__).parents[3] / "images"


def _reporter() -> Any:
    start = time.monotonic()
    return lambda text: err.print(f"[dim]{time.monotonic() - start:6.1f} s[/]  {text}", highlight=False, soft_wrap=True)


@app.command()
def up(
    home: Home = None,
    number: Number = None,
    node_range: NodeRange = None,
    pod_range: PodRange = None,
    as_json: Json = False,
) -> None:
    """Start the cloud, and the clusters that it had; the first time also build and seed it."""
    with errors():
        settings = Settings.load(home, number, node_range, pod_range)
        changed = lifecycle.up(settings, _images(), _reporter())
        if as_json:
            out.print_json(data={"changed": changed, "cloud": settings.cloud})
        else:
            out.print(
                f"cloud [bold]{settings.cloud}[/] is up{'' if changed else ' already'}: {settings.url('keystone')}/v3"
            )


@app.command()
def down(home: Home = None) -> None:
    """Stop the cloud and its clusters; `up` brings them back with their data."""
    with errors():
        settings = Settings.load(home)
        ran = lifecycle.down(settings, _reporter())
        out.print(f"cloud {settings.cloud} is down" if ran else f"cloud {settings.cloud} was not up")


@app.command()
def destroy(home: Home = None, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove the cloud, its clusters and all of their data."""
    with errors():
        settings = Settings.load(home)
        names = [spec.name for spec in lifecycle.clusters(settings)]
        if names and not yes:
            if not sys.stdin.isatty():
                raise LocalcloudError(
                    f"cloud {settings.cloud} still has the clusters {', '.join(names)}; "
                    "destroy them first, or say `localcloud destroy --yes`"
                )
            typer.confirm(f"Destroy cloud {settings.cloud} with its clusters {', '.join(names)}?", abort=True)
        lifecycle.destroy(settings, _reporter())
        out.print(f"cloud {settings.cloud} is destroyed")


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """Show every service, cluster and node; exit code 1 if the cloud is not up."""
    with errors():
        facts = _status(Settings.load(home))
    if as_json:
        out.print_json(data=facts)
    else:
        _print_status(facts)
    if not facts["up"]:
        raise typer.Exit(1)


def _status(settings: Settings) -> dict[str, Any]:
    supervisor = Supervisor(settings)
    running = supervisor.running()
    alive = openstack.alive(settings) if running else {}
    clusters = []
    for spec in lifecycle.clusters(settings):
        with contextlib.suppress(DamagedStateError):  # told below
            reached = Status.read(settings.clusters / spec.uuid)
            clusters.append({"name": spec.name, "uuid": spec.uuid, "status": asdict(reached) if reached else None})
    processes = [
        {
            "name": process["name"],
            "group": process["group"],
            "state": process["statename"],
            "pid": process["pid"],
            "since": process["start"],
        }
        for process in (supervisor.processes() if running else [])
    ]
    return {
        "up": running and bool(alive) and all(alive.values()),
        "cloud": settings.cloud,
        "home": str(settings.home),
        "services": alive,
        "clusters": clusters,
        "cvmfs": cvmfs.facts(settings),
        "damaged": [str(damage) for damage in lifecycle.damages(settings)],
        "processes": processes,
    }


def _print_status(facts: dict[str, Any]) -> None:
    for damage in facts["damaged"]:
        err.print(f"[red]{escape(damage)}", highlight=False, soft_wrap=True)
    out.print(f"cloud [bold]{facts['cloud']}[/] in {facts['home']}: {'[green]up' if facts['up'] else '[red]down'}")
    for service, answers in facts["services"].items():
        out.print(f"  {service:10} {'[green]answers' if answers else '[red]does not answer'}")
    for repository in facts["cvmfs"]["repositories"]:
        out.print(f"repository [bold]{repository['fqrn']}[/]: {', '.join(repository['server_urls'])}", highlight=False)
    for cluster in facts["clusters"]:
        reached = cluster["status"] or {"phase": "new", "waiting_for": "", "nodes": []}
        waiting = f", waiting for {reached['waiting_for']}" if reached["waiting_for"] else ""
        out.print(f"cluster [bold]{cluster['name']}[/] ({cluster['uuid']}): {reached['phase']}{waiting}")
        table = Table("node", "address", "state")
        for node in reached["nodes"]:
            table.add_row(node["name"], node["address"], "[green]Ready" if node["ready"] else f"[red]{node['reason']}")
        out.print(table)


@app.command()
def doctor(home: Home = None, number: Number = None, as_json: Json = False) -> None:
    """Examine the machine, the cloud and its clusters: each thing, and its remedy if it is not well (exit code 1)."""
    findings = []
    with errors():
        for finding in examiner.examine(Settings.load(home, number), _images()):
            findings.append(finding)
            if not as_json:
                mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
                out.print(f"{mark} [bold]{finding.subject}[/]: {escape(finding.says)}", highlight=False, soft_wrap=True)
    if as_json:
        out.print_json(data=[asdict(finding) for finding in findings])
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


@app.command()
def logs(
    cluster: Annotated[str | None, typer.Argument(help="Name or UUID of a cluster; a service if none has it.")] = None,
    node: Annotated[str | None, typer.Argument(help="Node; part of the name is enough.")] = None,
    component: Annotated[str | None, typer.Argument(help="As kubelet, containerd, machine.")] = None,
    lines: Annotated[int, typer.Option("-n", help="Last lines of each log.")] = 20,
    home: Home = None,
) -> None:
    """Show the last lines of logs: of the services, or of a cluster's nodes."""
    with errors():
        settings = Settings.load(home)
        uuids = {name: spec.uuid for spec in lifecycle.clusters(settings) for name in (spec.name, spec.uuid)}
        if cluster in uuids:
            files = sorted((settings.logs / uuids[cluster]).glob(f"*{node or ''}*/{component or '*'}.log"))
        else:
            files = sorted(settings.logs.glob(f"{cluster or '*'}.log"))
        if not files:
            known = sorted({*uuids, *(path.stem for path in settings.logs.glob("*.log"))})
            raise LocalcloudError(f"no log of {cluster} {node or ''} {component or ''}; known: {', '.join(known)}")
        for path in files:
            out.rule(str(path.relative_to(settings.logs)))
            subprocess.run(["tail", "-n", str(lines), str(path)], check=True)


@app.command()
def power(
    state: Annotated[Power, typer.Argument(help="What the node's machine is to be.")],
    cluster: Annotated[str, typer.Argument(help="Name or UUID of a cluster.")],
    node: Annotated[str, typer.Argument(help="Node; part of the name is enough.")],
    home: Home = None,
) -> None:
    """Cut the power of a node, or give it back: to see what a cluster makes of a failure."""
    with errors():
        settings = Settings.load(home)
        specs = [spec for spec in lifecycle.clusters(settings) if cluster in (spec.name, spec.uuid)]
        names = [n.name for spec in specs for n in NodeBook(settings, spec.uuid).nodes if node in n.name]
        if len(names) != 1:
            raise LocalcloudError(
                f"{node} of cluster {cluster} is not one node ({', '.join(names) or 'none'}); see `localcloud status`"
            )
        Supervisor(settings).signal(names[0], "machine", "start" if state is Power.ON else "stop")
        out.print(f"node {names[0]} is {state.value}")


@app.command()
def build(as_json: Json = False) -> None:
    """Build what nodes are made of: Kubernetes, images, the golden node. Kept in the cache."""
    from localcloud import build as builder

    with errors():
        artifacts = builder.everything(_images(), _reporter())
        if as_json:
            out.print_json(json.dumps(asdict(artifacts), default=str))
        else:
            out.print("  ".join(f"{name} {version}" for name, version in artifacts.versions.items()))


if __name__ == "__main__":
    app()
