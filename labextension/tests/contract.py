"""What openapi.yaml says, for tests."""

from importlib.resources import files
from typing import Any

import yaml
from jsonschema import Draft202012Validator

OPENAPI = yaml.safe_load((files("jupyterlab_astrok8s") / "openapi.yaml").read_text(encoding="utf-8"))

ROUTES = [
    (path, verb)
    for path, verbs in OPENAPI["paths"].items()
    for verb in verbs
    if verb in ("get", "post", "put", "patch", "delete")
]


def conforms(value: Any, schema: str) -> None:
    """Checks a value by one of the schemas."""
    Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **OPENAPI}).validate(value)
