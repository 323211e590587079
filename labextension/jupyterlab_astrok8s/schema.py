"""What can be said about a cluster, as JSON Schema: forms are built from it, and requests are checked by it."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from astrok8s import Option, load_options
from astrok8s.options import described
from astrok8s.provisioning import offered_options

# Ansible's types in the terms of JSON Schema; those that are missing (path, raw, …) are text.
_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}

_BODIES = yaml.safe_load((files(__package__) / "openapi.yaml").read_text(encoding="utf-8"))["components"]["schemas"]

GRANT: dict[str, Any] = _BODIES["NewGrant"]
"""The body of `POST /astrok8s/clusters/NAME/grants`, as JSON Schema."""

CREDENTIAL: dict[str, Any] = _BODIES["NewCredential"]
"""The body of `PUT /astrok8s/credential`, as JSON Schema."""

ACCESS: dict[str, Any] = _BODIES["NewAccess"]
"""The body of `POST /astrok8s/accesses`, as JSON Schema."""

LONGER: dict[str, Any] = _BODIES["Longer"]
"""The body of `POST /astrok8s/clusters/NAME/life`, as JSON Schema."""

SIZE: dict[str, Any] = _BODIES["Size"]
"""The body of `PATCH /astrok8s/clusters/NAME`, as JSON Schema."""


def cluster_schema() -> dict[str, Any]:
    """Describes the body of `POST /astrok8s/clusters`.

    Returns:
        A JSON Schema (draft 2020-12). Its properties are `name`, `size` and `options`; those of `options` come from the
        roles' argument specs and forms, which say two things more for each: `group`, the title of the role, and whether
        it is `basic`.
    """
    known = load_options()
    offered = offered_options()
    options = {name: _option(option) for name, option in known.items() if name in offered}
    return {
        "type": "object",
        "properties": {
            "name": _option(known["magnum_cluster_name"]) | {"minLength": 1},
            "size": _option(known["magnum_cluster_size"]) | {"minimum": 1},
            "options": {"type": "object", "properties": options, "additionalProperties": False},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def _option(option: Option) -> dict[str, Any]:
    form = option.form
    title = form.get("title", option.name) + (f" ({form['unit']})" if "unit" in form else "")
    said = {"title": title, "group": option.group, "basic": form.get("basic", False)}
    return said | {bound: form[bound] for bound in ("minimum", "maximum") if bound in form} | _value(option.spec)


def _value(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Describes a value of an argument spec, with those in it."""
    value: dict[str, Any] = {"description": described(spec), "type": _TYPES.get(spec.get("type", "str"), "string")}
    # A default that Ansible is still to work out says nothing here.
    if spec.get("default") is not None and "{{" not in str(spec["default"]):
        value["default"] = spec["default"]
    if "choices" in spec:
        value["enum"] = spec["choices"]
    if value["type"] == "array":
        value["items"] = _value({"type": spec.get("elements", "str"), "options": spec.get("options", {})})
    elif spec.get("options"):
        value |= _values(spec["options"])
    return value


def _values(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describes the values in one of type dict."""
    return {
        "properties": {name: {"title": name, **_value(spec)} for name, spec in specs.items()},
        "required": [name for name, spec in specs.items() if spec.get("required")],
        "additionalProperties": False,
    }
