"""A site's bundles: properties of Spark that go together, which users tick instead of knowing them."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from astrok8s import AstroK8sError
from astrok8s.attaching import MODES

_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_BUNDLE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "clusters": _TEXTS,
        "spark": {"type": "string", "pattern": r"^\d+(\.\d+)*$"},
        "modes": _TEXTS | {"items": {"enum": list(MODES)}},
        "conf": {
            "type": "object",
            "propertyNames": {"pattern": r"^spark\.\S+$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "minProperties": 1,
        },
    },
    "required": ["name", "conf"],
    "additionalProperties": False,
}
_SCHEMA = {"type": "array", "items": _BUNDLE}


class BundlesError(AstroK8sError):
    """A site's file of bundles cannot be used."""


def read_bundles(path: Path | None) -> list[dict[str, Any]]:
    """Reads the bundles that go with the Spark of this Python, which is that of every cluster it attaches to.

    Args:
        path: The site's file; None where it has none.

    Returns:
        What the schema `Bundle` of openapi.yaml says of each, in the order of the file.

    Raises:
        BundlesError: The file is not to be read, or says what no bundle is.
    """
    if path is None:
        return []
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(path, str(error)) from error
    wrong: ValidationError | None = next(Draft202012Validator(_SCHEMA).iter_errors(said), None)
    if wrong is not None:
        raise _wrong(path, f"{wrong.json_path}: {wrong.message}")
    names = [bundle["name"] for bundle in said]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _wrong(path, f"there are two bundles named {twice!r}")  # a notebook keeps their names
    here = version("pyspark")
    return [_bundle(bundle) for bundle in said if f"{here}.".startswith(f"{bundle.get('spark', here)}.")]


def _wrong(path: Path, reason: str) -> BundlesError:
    remedy = "Whoever runs this server corrects it; the README of jupyterlab-astrok8s has an example."
    return BundlesError(f"The file of bundles {path} cannot be used: {reason}.", remedy=remedy)


def _bundle(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": said["name"],
        "description": said.get("description", ""),
        "clusters": said.get("clusters", ["*"]),
        "modes": said.get("modes", list(MODES)),
        "conf": {name: _text(value) for name, value in said["conf"].items()},
    }


def _text(value: Any) -> str:
    """Writes a value as Spark does: YAML makes true, and 400, of what is not in quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)
