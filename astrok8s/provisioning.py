"""Makes, changes and takes away clusters, by running the playbooks."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import yaml

from astrok8s._cloud import cloud_name, connection_of
from astrok8s._content import content_dir
from astrok8s._progress import Progress
from astrok8s._progress.state import State
from astrok8s._progress.watching import watched
from astrok8s._role_options import RoleOptions
from astrok8s.clusters import Cluster, get_cluster
from astrok8s.errors import OptionError
from astrok8s.options import check_options, load_options

ARGUMENTS = {
    "cloud_name": "cloud",
    "magnum_cluster_name": "name",
    "magnum_cluster_size": "size",
}
"""Options of the roles that are arguments here, under another name."""

_SETTLED = {"cloud_cluster", "cloud_localcloud"}
"""Options of the roles that the playbooks set from the others."""


def offered_options() -> set[str]:
    """Returns the names of the options that `provision` takes."""
    return {
        name
        for name, option in load_options().items()
        if name not in {*ARGUMENTS, *_SETTLED} and not name.endswith("_state") and option.role != "user_access"
    }


@dataclass(frozen=True)
class Verdict:
    """Whether a cloud can make a cluster.

    Attributes:
        found: What was found, by what was looked at: `template`, `quota`, ….
        wrong: Why it cannot, likewise; empty where it can.
    """

    found: Mapping[str, str]
    wrong: Mapping[str, str]


def provision(
    name: str = "astro",
    *,
    size: int | None = None,
    ttl: str | None = None,
    idle: str | None = None,
    cloud: str | None = None,
    quiet: bool = False,
    report: Callable[[str], None] | None = None,
    **options: Unpack[RoleOptions],
) -> Cluster:
    """Makes a cluster, or makes one that is there as it is declared. Again, it changes nothing.

    Args:
        name: The cluster's name.
        size: Its number of worker nodes, at least 1; a cluster of another size is resized. If None, one that is there
            keeps its size, and a new one gets 2.
        ttl: How long it lives before it ends by itself, from when it was declared first: a number and s, m, h or d. If
            None, one that is there keeps its end, and a new one gets "12h". `Cluster.extend()` lets it live longer.
        idle: How long nobody may use it before it ends, likewise; "60m" for a new one.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.
        **options: Options of the roles, such as `spark_base_namespace="spark"`.

    Returns:
        The cluster, with its nodes ready, and prepared for Spark.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        ProvisionError: A task of the playbook failed.
        KeyboardInterrupt: It was interrupted; the next run finishes the cluster.

    Example:
        >>> cluster = astrok8s.provision("hyades", size=8)
    """
    life = {"lifecycle_ttl": ttl, "lifecycle_idle": idle}
    given = {**options, **{name: value for name, value in life.items() if value is not None}}
    checked = check(name, size=size, cloud=cloud, **given)
    made = run("site.yml", name, checked, quiet=quiet, report=report)
    cluster = get_cluster(name, cloud=checked["cloud_name"])
    return replace(cluster, made=cluster.uuid in made)


def _signature() -> inspect.Signature:
    """Returns the signature of `provision` with the options of the roles by name, which notebooks complete and show."""
    own = inspect.signature(provision)
    named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    # What a role's default is, the role says.
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=of)
        for name, of in RoleOptions.__annotations__.items()
    ]
    return own.replace(parameters=[*named, *options])


provision.__signature__ = _signature()  # type: ignore[attr-defined]


def destroy(
    name: str, *, cloud: str | None = None, quiet: bool = False, report: Callable[[str], None] | None = None
) -> None:
    """Takes a cluster away, and waits until it is gone; does nothing where there is none.

    Args:
        name: The cluster's name.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        ProvisionError: A task of the playbook failed.
    """
    run("playbooks/destroy.yml", name, check(name, cloud=cloud), quiet=quiet, report=report)


def resize(
    name: str,
    size: int,
    *,
    cloud: str | None = None,
    quiet: bool = False,
    report: Callable[[str], None] | None = None,
) -> Cluster:
    """Gives a cluster another number of workers, and leaves all else of it as it is, whatever it was declared with.

    Args:
        name: The cluster's name.
        size: Its number of worker nodes, at least 1. Those that go are drained first.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.

    Returns:
        The cluster, with its nodes ready.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        CloudError: The cloud cannot be used, or has no such cluster.
        ProvisionError: A task of the playbook failed.
    """
    checked = check(name, size=size, cloud=cloud)
    entry = checked["cloud_name"]
    get_cluster(name, cloud=entry)  # says what there is where there is no such cluster
    run("playbooks/resize.yml", name, checked, quiet=quiet, report=report)
    return get_cluster(name, cloud=entry)


def check(name: str, *, size: int | None = None, cloud: str | None = None, **options: Any) -> dict[str, Any]:
    """Checks the arguments of `provision`, and returns them as variables of a playbook.

    Args:
        name: As of `provision`.
        size: As of `provision`.
        cloud: As of `provision`.
        **options: As of `provision`.

    Raises:
        OptionError: One cannot be taken.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import lifetime
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import check_name, check_size

    known = load_options()
    for option in options:
        if option in ARGUMENTS:
            raise OptionError(option, f"{option} is an argument here.", remedy=f"Give {ARGUMENTS[option]}=….")
        if option in known and option not in offered_options():
            remedy = "Cluster.destroy() takes a cluster away." if option.endswith("_state") else "Leave it out."
            raise OptionError(option, f"{option} is set by the playbooks.", remedy=remedy)
    arguments = {"magnum_cluster_name": name, "cloud_name": cloud_name(cloud)}
    sized = {} if size is None else {"magnum_cluster_size": size}
    checked = check_options(arguments | sized | options, known=known)
    try:
        check_name(checked["magnum_cluster_name"])
        check_size(checked.get("magnum_cluster_size"))
    except MagnumError as error:
        raise OptionError("name", error.fact, remedy=error.remedy) from error
    longest = checked.get("lifecycle_longest", known["lifecycle_longest"].default)
    ttl, idle = checked.get("lifecycle_ttl"), checked.get("lifecycle_idle")
    try:
        lifetime.check(ttl or lifetime.DEFAULT, longest)
    except MagnumError as error:
        raise OptionError("ttl", error.fact, remedy=error.remedy) from error
    try:
        if idle:
            lifetime.check_idle(idle, ttl, longest)
    except MagnumError as error:
        raise OptionError("idle", error.fact, remedy=error.remedy) from error
    return checked


def preflight(name: str = "astro", *, size: int | None = None, cloud: str | None = None, **options: Any) -> Verdict:
    """Looks whether a cloud can make a cluster, as `provision` does first; makes nothing.

    Args:
        name: As of `provision`.
        size: As of `provision`.
        cloud: As of `provision`.
        **options: As of `provision`.

    Raises:
        OptionError: An argument cannot be taken.
        CloudError: The cloud is not declared, does not answer, or refuses.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.preflight import Preflight, Wanted

    checked = check(name, size=size, cloud=cloud, **options)
    defaults = {option: known.default for option, known in load_options().items()}

    def value(of: str) -> Any:
        return checked.get(f"magnum_cluster_{of}", defaults[f"magnum_cluster_{of}"])

    with connection_of(checked["cloud_name"]) as connection:
        looked = Preflight(
            connection,
            Wanted(
                name=name,
                size=checked.get("magnum_cluster_size"),
                template=value("template"),
                definition=value("template_definition"),
                most_clusters=checked.get("cloud_most_clusters"),
                most_workers=checked.get("cloud_most_workers"),
                ends=not checked.get("lifecycle_keep", defaults["lifecycle_keep"]),
                **{of: value(of) for of in ("image", "network", "keypair", "public_key", "flavor", "master_flavor")},
            ),
        )
        looked.run()
    return Verdict(looked.passed, looked.failed)


def run(
    playbook: str,
    name: str,
    variables: dict[str, Any],
    *,
    quiet: bool,
    report: Callable[[str], None] | None = None,
) -> set[str]:
    """Runs a playbook on a cluster, and shows what it does.

    Args:
        playbook: Its path in the Ansible content.
        name: The cluster's name.
        variables: Checked options.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.

    Returns:
        The UUIDs of the clusters that it has made.

    Raises:
        ProvisionError: A task failed.
        KeyboardInterrupt: It was interrupted.
    """
    from astrok8s import _runner  # ansible-runner takes a while to import

    cloud = str(variables["cloud_name"])
    hidden = quiet or report is not None
    operation = "" if hidden else f"{Path(playbook).stem} {cloud}"
    with (
        Progress(quiet=hidden, stages=stages(playbook), operation=operation) as progress,
        watched(name, cloud, progress.see) as watch,
    ):

        def begin(role: str) -> None:
            progress.begin(role)
            if role == "magnum_cluster" and not hidden:
                watch()

        try:
            return _runner.run(playbook, name, variables, report or progress.say, begin)
        except KeyboardInterrupt:
            told = _interrupted(name, progress.state)
            print(told, file=sys.stderr)  # also where no traceback shows it
            raise KeyboardInterrupt(told) from None


def stages(playbook: str) -> list[str]:
    """Returns the roles of a playbook, in their order.

    Args:
        playbook: Its path in the Ansible content.
    """
    (play,) = yaml.safe_load((content_dir() / playbook).read_text(encoding="utf-8"))
    return list(dict.fromkeys(role["role"] for role in play["roles"]))


def _interrupted(name: str, state: State) -> str:
    """Returns in what state an interrupt has left things, and what to do about it."""
    done = ", ".join(state.took()) or "nothing"
    now = f", {state.now.name} was being done" if state.now else ""
    seen = f"; {state.seen}" if state.seen else ""
    told = f"Interrupted after {state.elapsed():.0f} s: done is {done}{now}{seen}."
    return f"{told} The next run finishes cluster {name}, destroy takes away what there is."
