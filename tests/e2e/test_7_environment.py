"""The user's packages on executors: what the notebook imports, a function imports there, by either way to attach."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import astropy
import boto3
import healpy
import pandas as pd
import pytest
from conftest import Cloud
from kube import Kubectl, remove_servers
from pyspark.errors import PySparkException
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it
from site_yml import CLUSTER

import astrok8s

MEMORY = {"spark.executor.memory": "700m"}


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(CLUSTER, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module", autouse=True)
def no_other_servers(kubectl: Kubectl) -> Iterator[None]:
    """Begin and end without servers: a small cluster has room for few."""
    remove_servers(kubectl)
    yield
    remove_servers(kubectl)


@pytest.fixture(scope="module")
def requirements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that asks for the versions of this Python."""
    path = tmp_path_factory.mktemp("environment") / "requirements.txt"
    path.write_text(f"astropy=={version('astropy')}\nhealpy=={version('healpy')}\n")
    return path


class Archives:
    """What the user's bucket has in its folder of environments."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.storage = kubectl.get("configmap", "s3", "-n", "spark")["data"]
        secret = base64.b64decode(kubectl.get("secret", "s3", "-n", "spark")["data"]["credentials"]).decode()
        key = dict(line.split(" = ") for line in secret.splitlines() if " = " in line)
        at = {"endpoint_url": self.storage["endpoint"], "region_name": self.storage["region"]}
        self.s3 = boto3.client("s3", **at, **key)

    def all(self) -> dict[str, datetime]:
        """Return when each was written."""
        found = self.s3.list_objects_v2(Bucket=self.storage["bucket"], Prefix="environments/")
        return {entry["Key"]: entry["LastModified"] for entry in found.get("Contents", [])}


@pytest.fixture(scope="module")
def archives(kubectl: Kubectl) -> Archives:
    return Archives(kubectl)


def attach(mode: str, environment: object = None, **options: Any) -> Any:
    given = {"conf": MEMORY, "executors": 1, **options}
    return astrok8s.attach(CLUSTER, mode=mode, environment=environment, **given)  # type: ignore[arg-type]


POLE = (192.85948, 27.12825)
"""The galactic north pole in degrees, ICRS; ESA 1997, The Hipparcos and Tycho Catalogues, vol. 1, eq. 1.5.10."""

CENTRE = (266.40499, -28.93617)
"""The origin of galactic longitude in degrees, by the same source: latitude 0."""

Seen = tuple[str, str, int, float]


def seen_on_executors(spark: Any) -> list[Seen]:
    """Return for both: where Python has astropy, its version, the HEALPix pixel, the galactic latitude in degrees."""

    # inside, so that it goes to executors whole, and not as a name of this module
    def look(ra: float, dec: float) -> Seen:
        import astropy
        import healpy
        from astropy.coordinates import SkyCoord

        latitude = float(SkyCoord(ra, dec, unit="deg").galactic.b.deg)
        return astropy.__file__, astropy.__version__, int(healpy.ang2pix(64, ra, dec, lonlat=True)), latitude

    columns = "file string, version string, pixel long, latitude double"
    directions = spark.createDataFrame([(0, *POLE), (1, *CENTRE)], "id long, ra double, dec double")
    rows = directions.select("id", F.udf(look, columns)("ra", "dec").alias("seen")).orderBy("id").collect()
    return [tuple(row.seen) for row in rows]


def check(seen: list[Seen]) -> None:
    assert {Path(file).parts[:5] for file, *_ in seen} == {("/", "opt", "spark", "work-dir", "environment")}
    assert {found for _, found, *_ in seen} == {astropy.__version__}
    expected = [int(healpy.ang2pix(64, *direction, lonlat=True)) for direction in (POLE, CENTRE)]
    assert [pixel for _, _, pixel, _ in seen] == expected
    assert [latitude for *_, latitude in seen] == pytest.approx([90, 0], abs=1e-3)


def test_the_image_has_no_astropy(cloud: Cloud) -> None:
    spark = attach("client", quiet=True)
    try:
        with pytest.raises(PySparkException, match="No module named 'astropy'"):
            seen_on_executors(spark)
    finally:
        spark.stop()


@pytest.mark.parametrize("mode", ["client", "connect"])
def test_a_function_imports_what_the_file_asks_for(mode: str, requirements: Path) -> None:
    spark = attach(mode, requirements, quiet=True)
    try:
        check(seen_on_executors(spark))
    finally:
        spark.stop()


def test_a_file_is_packed_once(requirements: Path, archives: Archives, capsys: pytest.CaptureFixture[str]) -> None:
    before = archives.all()
    assert len(before) == 1
    capsys.readouterr()
    spark = attach("client", requirements)
    try:
        assert spark.range(10).count() == 10
    finally:
        spark.stop()
    said = capsys.readouterr().err
    assert "executors are here" in said
    assert "packing" not in said
    assert "uploading" not in said
    assert archives.all() == before


@pytest.mark.parametrize("mode", ["client", "connect"])
def test_a_requirement_that_is_nowhere_is_told_by_pip(
    mode: str, kubectl: Kubectl, archives: Archives, tmp_path: Path
) -> None:
    before = (archives.all(), pods(kubectl))
    (tmp_path / "requirements.txt").write_text("astropy==0.0.0\n")
    with pytest.raises(astrok8s.AttachError, match=r"(?s)pip cannot install.*No matching distribution .*astropy==0\.0"):
        attach(mode, tmp_path / "requirements.txt", quiet=True)
    after = pods(kubectl)
    assert (archives.all(), after - before[1]) == (before[0], set())


def pods(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["uid"] for pod in kubectl.get("pods", "-n", "spark")["items"]}


def test_packages_that_are_gone_are_told(requirements: Path, archives: Archives) -> None:
    """Whoever deletes an archive while sessions want it reads so in what executors say."""
    gone = f"{archives.storage['bucket']}/environments/gone.tar.zst"
    with pytest.raises(astrok8s.AttachError, match=r"(?s)gone\.tar\.zst.*are not there any more: call spark\.stop"):
        attach("client", requirements, quiet=True, conf={**MEMORY, "spark.executorEnv.ASTROK8S_ENVIRONMENT": gone})


def test_all_of_this_python(kubectl: Kubectl, archives: Archives) -> None:
    """Hundreds of megabytes, of which Spark's worker itself is a user: NumPy, pandas, Arrow."""
    remove_servers(kubectl)
    before = archives.all()
    spark = attach("connect", "here", quiet=True, deadline=300)
    try:
        check(seen_on_executors(spark))

        @F.pandas_udf("string")  # type: ignore[untyped-decorator]
        def places(numbers: pd.Series) -> pd.Series:
            import pyarrow

            import astrok8s

            return numbers.map(lambda _: f"{pyarrow.__file__} {astrok8s.__version__}")

        (row,) = spark.range(1).select(places("id").alias("said")).collect()
        assert row.said == f"/opt/spark/work-dir/environment/pyarrow/__init__.py {astrok8s.__version__}"
    finally:
        spark.stop()
    assert len(archives.all()) == len(before) + 1
