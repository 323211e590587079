"""Bad input: a clear error, the right exit code, and nothing left behind. No cluster exists yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Cloud, run
from site_yml import clusters, playbook

import astrok8s


@pytest.fixture(autouse=True)
def _nothing_left(cloud: Cloud) -> object:
    yield
    assert clusters() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-e", "size=0"], ["size", "0", "at least 1"]),
        (["-e", "size=-1"], ["size", "-1", "at least 1"]),
        (["-e", "size=eight"], ["size", "eight"]),
        (["-e", "size=10000"], ["10000", "quota", "largest"]),
        (["-e", "magnum_cluster_sise=3"], ["magnum_cluster_sise", "magnum_cluster_size"]),
        (["-e", "cloud_name=nowhere"], ["nowhere", "clouds.yaml"]),
        (["-e", "magnum_cluster_name=9lives"], ["9lives", "letter"]),
        (["-e", "magnum_cluster_template=nothing"], ["nothing", "template"]),
        (["-e", "magnum_cluster_keypair=nothing"], ["nothing", "keypair"]),
        (["-e", "magnum_cluster_flavor=m9.huge"], ["m9.huge", "m1.medium"]),
    ],
)
def test_site_refuses(cloud: Cloud, arguments: list[str], says: list[str]) -> None:
    result = playbook(*arguments, check=False)
    assert result.code in (1, 2)
    for word in says:
        assert word in result.text


def test_wrong_password(cloud: Cloud, tmp_path: Path) -> None:
    clouds = Path(cloud.home.parent, "clouds.yaml").read_text()
    wrong = tmp_path / "clouds.yaml"
    wrong.write_text(
        "\n".join("      password: wrong" if "password:" in line else line for line in clouds.splitlines())
    )
    done = run("astrok8s", "list", check=False, OS_CLIENT_CONFIG_FILE=str(wrong))
    assert done.returncode == 1
    assert "password" in done.stderr
    assert "Traceback" not in done.stderr


def test_cloud_down(cloud: Cloud, tmp_path: Path) -> None:
    clouds = Path(cloud.home.parent, "clouds.yaml").read_text()
    elsewhere = tmp_path / "clouds.yaml"
    elsewhere.write_text(clouds.replace("http://127.0.0.1:5700", "http://127.0.0.1:9"))
    done = run("astrok8s", "list", check=False, OS_CLIENT_CONFIG_FILE=str(elsewhere))
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_provision_rejects_unknown_options_before_anything_runs(cloud: Cloud) -> None:
    with pytest.raises(astrok8s.AstroK8sError, match="spark_base_namespace"):
        astrok8s.provision("misspelt", spark_base_namespase="x")


@pytest.mark.parametrize("size", [0, -1, "eight", 10_000])
def test_provision_refuses_sizes(cloud: Cloud, size: object) -> None:
    with pytest.raises(astrok8s.AstroK8sError, match=str(size)):
        astrok8s.provision("refused", size=size)


def test_command_line_usage_errors(cloud: Cloud) -> None:
    assert run("astrok8s", "up", "--size", "eight", check=False).returncode == 2
    assert run("astrok8s", "nonsense", check=False).returncode == 2
    done = run("astrok8s", "destroy", "nothing", "--yes", check=False)
    assert done.returncode == 1
    assert "nothing" in done.stderr
