"""A site's bundles, and what is told of a file that is wrong."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from contract import conforms
from jupyterlab_astrok8s.bundles import BundlesError, read_bundles
from tornado.httpclient import HTTPClientError

MINOR = ".".join(version("pyspark").split(".")[:2])
BUNDLES = f"""
- name: Large shuffles
  description: Adaptive execution.
  clusters: ["stars*"]
  spark: "{MINOR}"
  modes: [client]
  conf: {{spark.sql.shuffle.partitions: 400, spark.sql.adaptive.enabled: true, spark.executor.memory: 2g}}
- name: Everywhere
  conf: {{spark.sql.ansi.enabled: "false"}}
- name: Of another Spark
  spark: "{MINOR}0"
  conf: {{spark.sql.ansi.enabled: "false"}}
"""
WRONG = [
    ("[{name: one}]", "$[0]: 'conf' is a required property"),
    ("name: one", "is not of type 'array'"),
    ("[{name: one, conf: {a: b}}]", "$[0].conf: 'a' does not match"),
    ("[{name: one, conf: {spark.a: [1]}}]", "[1] is not of type 'string', 'number', 'boolean'"),
    ("[{name: one, spark: 4.1, conf: {spark.a: b}}]", "$[0].spark: 4.1 is not of type 'string'"),
    ("[{name: one, modes: [local], conf: {spark.a: b}}]", "'local' is not one of ['connect', 'client']"),
    ("[{name: one, cluster: a, conf: {spark.a: b}}]", "'cluster' was unexpected"),
    ("[{name: one, conf: {spark.a: b}}, {name: one, conf: {spark.a: b}}]", "there are two bundles named 'one'"),
    ("[{", "while parsing"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bundles.yaml"


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any], file: Path) -> dict[str, Any]:
    jp_server_config["AstroK8sExtension"]["bundles"] = str(file)
    return jp_server_config


async def test_those_of_this_spark_are_told(jp_fetch: Any, file: Path) -> None:
    file.write_text(BUNDLES)
    told = json.loads((await jp_fetch("astrok8s", "bundles")).body)
    conforms(told, "Bundles")
    assert told["cloud"] == "far"
    shuffles, everywhere = told["bundles"]
    assert shuffles["conf"] == {
        "spark.sql.shuffle.partitions": "400",
        "spark.sql.adaptive.enabled": "true",
        "spark.executor.memory": "2g",
    }
    assert (shuffles["clusters"], shuffles["modes"]) == (["stars*"], ["client"])
    assert (everywhere["clusters"], everywhere["modes"]) == (["*"], ["connect", "client"])


async def test_a_file_that_is_not_there_is_told(jp_fetch: Any, file: Path) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("astrok8s", "bundles")
    assert caught.value.response
    answer = json.loads(caught.value.response.body)
    conforms(answer, "Error")
    assert (caught.value.code, str(file) in answer["fact"]) == (500, True)
    assert "Whoever runs this server corrects it" in answer["remedy"]


@pytest.mark.parametrize(("content", "fact"), WRONG)
def test_a_file_that_is_wrong_is_told(content: str, fact: str, file: Path) -> None:
    file.write_text(content)
    with pytest.raises(BundlesError) as caught:
        read_bundles(file)
    assert fact in caught.value.fact


def test_a_site_may_have_none(file: Path) -> None:
    assert read_bundles(None) == []
    file.touch()
    assert read_bundles(file) == []
