"""What the role cvmfs asks of Kubernetes, by either driver."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
PARENT = {"mountPath": "/cvmfs", "readOnly": True, "mountPropagation": "HostToContainer"}
REPOSITORIES = [
    {"fqrn": "sw.example.org", "urls": ["http://a/cvmfs/@fqrn@", "http://b/cvmfs/@fqrn@"], "public_key": "KEY\nOF SW"},
    {"fqrn": "data.example.org", "urls": ["http://a/cvmfs/@fqrn@"], "public_key": "KEY OF DATA"},
]

# What cvmfs-csi 2 documents of its volumes: docs/how-to-use.md of github.com/cvmfs-contrib/cvmfs-csi.
DRIVER = "cvmfs.csi.cern.ch"
ATTRIBUTES = {"repository", "clientConfig", "clientConfigFilepath", "sharedMountID"}
VOLUME = {"accessModes": ["ReadOnlyMany"], "volumeMode": "Filesystem"}
# Of the folder of all repositories: it is a volume that names none, and a pod must see what is mounted later.
AUTOMOUNT = {"mountPropagation": "HostToContainer"}
CONFIG_D = "/etc/cvmfs/config.d"


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    init_plugin_loader()


def render(expression: str, roles: Sequence[str] = ("cvmfs",), **options: Any) -> Any:
    """Returns what an expression says that knows the variables of roles, with options of its own."""
    return render_text(f"{{{{ {expression} }}}}", roles, **options)


def render_text(text: str, roles: Sequence[str] = ("cvmfs",), **options: Any) -> Any:
    loader = DataLoader()
    values: dict[str, Any] = {"spark_base_namespace": "spark", "spark_base_image": "spark:1"}
    for path in (ROOT / "roles" / role / name / "main.yml" for role in roles for name in ("defaults", "vars")):
        values |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    values |= {"cvmfs_repositories": REPOSITORIES} | options
    values["ansible_search_path"] = [str(ROOT / "roles" / role) for role in roles]
    rendered = Templar(loader, values).template(trust_as_template(text))
    return json.loads(json.dumps(rendered))  # without Ansible's own types


def objects(expression: str = "__cvmfs_objects", **options: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"].get("namespace", "")): each for each in render(expression, **options)}


def spec_of(found: Mapping[tuple[str, str], Mapping[str, Any]], namespace: str) -> Any:
    return found["DaemonSet", namespace]["spec"]["template"]["spec"]


DRIVERS = [
    ("daemonset", {"hostPath": {"path": "/cvmfs", "type": "DirectoryOrCreate"}}),
    ("csi", {"persistentVolumeClaim": {"claimName": "cvmfs"}}),
]


@pytest.mark.parametrize(("driver", "source"), DRIVERS)
def test_executors_have_the_parent_of_all_mounts(driver: str, source: dict[str, Any]) -> None:
    data = objects(cvmfs_driver=driver)["ConfigMap", "spark"]["data"]
    assert data["repositories"] == "sw.example.org data.example.org"
    assert json.loads(data["executor.json"])["spec"] == {
        "volumes": [{"name": "cvmfs"} | source],
        "containers": [{"name": "executor", "volumeMounts": [{"name": "cvmfs"} | PARENT]}],
    }


@pytest.mark.parametrize(("driver", "source"), DRIVERS)
def test_the_server_of_spark_connect_has_it_too(driver: str, source: dict[str, Any]) -> None:
    connect = "lookup('ansible.builtin.template', 'connect.yaml.j2') | from_yaml_all | list"
    account = {"spark_base_service_account": "spark"}
    found = render(connect, roles=("cvmfs", "spark_connect"), cvmfs_driver=driver, **account)
    spec = next(each for each in found if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert [each for each in spec["containers"][0]["volumeMounts"] if each["mountPath"] == "/cvmfs"] == [
        {"name": "repositories"} | PARENT
    ]
    assert [each for each in spec["volumes"] if each["name"] == "repositories"] == [{"name": "repositories"} | source]


def test_the_volume_is_one_that_the_csi_driver_documents() -> None:
    found = objects(cvmfs_driver="csi")
    volume, claim = found["PersistentVolume", ""], found["PersistentVolumeClaim", "spark"]
    csi = volume["spec"]["csi"]
    assert csi["driver"] == DRIVER
    assert csi["volumeHandle"]
    attributes = set(csi.get("volumeAttributes", {}))
    assert attributes <= ATTRIBUTES
    assert "repository" not in attributes
    assert render("__cvmfs_mount", cvmfs_driver="csi").items() >= AUTOMOUNT.items()
    for spec, size in ((volume["spec"], "capacity"), (claim["spec"], "resources")):
        assert VOLUME.items() <= spec.items()
        assert int(spec[size].get("requests", spec[size])["storage"]) > 0


def test_volume_and_claim_are_bound_to_each_other_and_to_nothing_else() -> None:
    found = objects(cvmfs_driver="csi")
    volume, claim = found["PersistentVolume", ""], found["PersistentVolumeClaim", "spark"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == ""
    reference = volume["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"]) == ("spark", claim["metadata"]["name"])
    # Of two declared namespaces, each has its own: a volume belongs to none.
    assert "spark" in volume["spec"]["csi"]["volumeHandle"]


def test_the_csi_driver_gets_files_as_it_documents_them() -> None:
    files = render("__cvmfs_csi_files", cvmfs_driver="csi", cvmfs_http_proxy="http://p:3128|http://q:3128;DIRECT")
    assert sorted(files) == sorted(f"{each['fqrn']}.{end}" for each in REPOSITORIES for end in ("conf", "pub"))
    assert files["sw.example.org.pub"] == "KEY\nOF SW"
    assert files["sw.example.org.conf"].splitlines() == [
        'CVMFS_SERVER_URL="http://a/cvmfs/@fqrn@;http://b/cvmfs/@fqrn@"',
        f'CVMFS_PUBLIC_KEY="{CONFIG_D}/sw.example.org.pub"',
        'CVMFS_HTTP_PROXY="http://p:3128|http://q:3128;DIRECT"',
    ]
    told = render("__cvmfs_csi_files", cvmfs_driver="csi", cvmfs_max_ttl_minutes=5)["data.example.org.conf"]
    assert "CVMFS_MAX_TTL=5" in told.splitlines()


def test_a_reader_may_nothing_and_has_what_executors_have() -> None:
    spec = spec_of(objects(cvmfs_driver="csi"), "spark")
    (container,) = spec["containers"]
    assert container["volumeMounts"] == [{"name": "cvmfs"} | PARENT]
    assert spec["volumes"] == [{"name": "cvmfs", "persistentVolumeClaim": {"claimName": "cvmfs"}}]
    assert container["image"] == "spark:1"
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_readers_of_both_drivers_are_ready_by_the_same_question() -> None:
    (client,) = spec_of(objects(cvmfs_driver="daemonset"), "cvmfs")["containers"]
    (reader,) = spec_of(objects(cvmfs_driver="csi"), "spark")["containers"]
    assert client["readinessProbe"]["exec"] == reader["startupProbe"]["exec"]
    assert "for name in sw.example.org data.example.org;" in client["readinessProbe"]["exec"]["command"][-1]


@pytest.mark.parametrize(("driver", "other"), [("daemonset", "csi"), ("csi", "daemonset")])
def test_what_the_other_driver_made_goes_and_nothing_else(driver: str, other: str) -> None:
    ours = objects(cvmfs_driver=driver)
    goes = objects("__cvmfs_other_objects", cvmfs_driver=driver)
    assert not ours.keys() & goes.keys()
    made_by_it = objects(cvmfs_driver=other).keys() - {("Namespace", ""), ("ConfigMap", "spark")}
    assert goes.keys() == made_by_it


@pytest.mark.parametrize("options", [{"cvmfs_state": "absent"}, {"cvmfs_repositories": []}], ids=str)
def test_without_it_all_of_ours_goes_but_the_namespace(options: dict[str, Any]) -> None:
    assert render("__cvmfs_objects", **options) == []
    for driver in ("daemonset", "csi"):
        goes = objects("__cvmfs_other_objects", cvmfs_driver=driver, **options)
        assert sorted(kind for kind, _ in goes) == sorted(
            ["ConfigMap", "ConfigMap", "DaemonSet", "DaemonSet", "PersistentVolume", "PersistentVolumeClaim"]
        )
        assert render("__cvmfs_csi_files", cvmfs_driver=driver, **options) == {}


def test_every_node_that_does_not_read_is_told_with_what_is_known_of_it() -> None:
    def pod(uid: str, status: dict[str, Any], **spec: str) -> dict[str, Any]:
        return {"metadata": {"uid": uid, "name": f"cvmfs-{uid}"}, "spec": spec, "status": status}

    def event(uid: str, second: int, reason: str) -> dict[str, Any]:
        return {
            "involvedObject": {"uid": uid},
            "metadata": {"creationTimestamp": f"2026-11-30T12:00:0{second}Z"},
            "reason": reason,
            "message": f"of {uid}",
        }

    waiting = pod(
        "b", {"containerStatuses": [{"ready": False, "state": {"waiting": {"reason": "Creating"}}}]}, nodeName="B"
    )
    known: dict[str, Any] = {
        "__cvmfs_logs": {"results": [{"log": "sw is refused", "item": {"spec": {"nodeName": "A"}}}]},
        "__cvmfs_pods": {
            "resources": [
                pod("a", {"containerStatuses": [{"ready": True, "state": {"running": {}}}]}, nodeName="A"),
                *(waiting, pod("c", {})),
            ]
        },
        "__cvmfs_events": {
            "resources": [
                *(event("b", 2, "FailedMount"), event("b", 1, "Old"), event("c", 1, "FailedScheduling")),
                *(event("a", 1, "Unhealthy"), event("gone", 9, "Gone")),
            ]
        },
        "ansible_failed_result": {"msg": "timed out"},
    }
    (task,) = yaml.safe_load((ROOT / "roles/cvmfs/tasks/why.yml").read_text())[-1:]
    told = " ".join(render_text(task["ansible.builtin.fail"]["msg"], **known).split())
    assert told == (
        "Not every node reads every repository (sw.example.org, data.example.org) after 180 s. A says: sw is refused "
        "B waits: Creating B: FailedMount: of b cvmfs-c: FailedScheduling: of c Kubernetes says: timed out"
    )


def test_the_specification_names_both_drivers() -> None:
    spec = yaml.safe_load((ROOT / "roles/cvmfs/meta/argument_specs.yml").read_text())
    choices = spec["argument_specs"]["main"]["options"]["cvmfs_driver"]["choices"]
    assert all((ROOT / f"roles/cvmfs/templates/{choice}.yaml.j2").is_file() for choice in choices)
