"""What can be said about a cluster, as JSON Schema: forms are built from it, and requests are checked by it."""

from typing import Any

from astrok8s import Option, load_options
from astrok8s.provisioning import offered_options

# Ansible's types in the terms of JSON Schema; those that are missing (path, raw, …) are text.
_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}


def cluster_schema() -> dict[str, Any]:
    """Describes the body of `POST /astrok8s/clusters`.

    Returns:
        A JSON Schema (draft 2020-12). Its properties are `name`, `size` and `options`; those of `options` come from the
        roles' argument specs.
    """
    known = load_options()
    offered = offered_options()
    options = {name: _property(option) for name, option in known.items() if name in offered}
    size = {"type": "integer", "minimum": 1, "description": known["magnum_cluster_size"].description}
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": known["magnum_cluster_name"].description},
            "size": size,
            "options": {"type": "object", "properties": options, "additionalProperties": False},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def _property(option: Option) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": _TYPES.get(option.type, "string"),
        "description": option.description,
        "role": option.role,
    }
    # A default that Ansible is still to work out says nothing here.
    if option.default is not None and "{{" not in str(option.default):
        described["default"] = option.default
    if "choices" in option.spec:
        described["enum"] = option.spec["choices"]
    if option.type == "list":
        described["items"] = {"type": _TYPES.get(option.spec.get("elements", "str"), "string")}
    return described
