"""Users and projects of a box's cloud."""

from boxes import LOCALCLOUD_BIN, Box


def new_user(box: Box, name: str, project: str, role: str) -> tuple[str, ...]:
    """Makes a user with a role in a project; returns the options of `openstack` that name them."""
    as_admin(box, f"user create {name} --project {project} --password secret")
    as_admin(box, f"role add {role} --user {name} --project {project}")
    return ("--os-username", name, "--os-password", "secret", "--os-project-name", project)


def as_admin(box: Box, command: str) -> None:
    """Runs `openstack` as the cloud's administrator."""
    openstack = (str(LOCALCLOUD_BIN / "openstack"), "--os-cloud", f"{box.name}-admin")
    run = box.run(*openstack, *command.split(), OS_CLIENT_CONFIG_FILE=str(box.home / "clouds.yaml"))
    assert run.returncode == 0, run.stderr
