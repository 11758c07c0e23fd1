"""Checks a request against its method's schema: names, types, enums, formats, ranges, and fields that do not exist.

Imported by `local.control_plane.service`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from local.control_plane.discovery import Method

_FORMATS: Final = {
    "google-duration": r"-?\d+(\.\d{1,9})?s",
    "google-datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "int64": r"-?\d+",
    "uint64": r"\d+",
    "byte": r"[A-Za-z0-9+/_=-]*",
}
_RANGES: Final = {"int32": (-(2.0**31), 2.0**31 - 1), "uint32": (0.0, 2.0**32 - 1)}
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")

_OF_EVERY_METHOD: Final = {
    *("updateMask", "alt", "prettyPrint", "key", "fields", "quotaUser", "userProject", "$alt", "$fields"),
}
"""Query parameters that are accepted although a document does not list them; the provider sends `updateMask` always."""

_NOT_REQUIRED: Final = {"storage.buckets.setIamPolicy"}
"""Methods whose document marks fields as required that the API does without."""


def request_faults(method: Method, path: str, query: Mapping[str, str], body: Any) -> list[str]:
    """What is wrong with a request, in the words of Google's APIs.

    Removes from `body` what the APIs treat as absent: null entries of lists and, unless it is a PATCH, empty strings
    and nulls of messages.
    """
    faults = []
    for name, value in (method.documented_arguments(path) or {}).items():
        pattern = method.parameters.get(name, {}).get("pattern")
        if pattern and not re.fullmatch(pattern.strip("^$"), value):
            faults.append(f"Invalid value for field '{name}': '{value}'. Must be a match of regex '{pattern}'")
    for name, value in query.items():
        parameter = method.parameters.get(name)
        if parameter is None and name not in _OF_EVERY_METHOD:
            faults.append(f'Invalid query parameter: unknown name "{name}"')
        elif parameter and value and value not in parameter.get("enum", [value]):
            faults.append(f"Invalid query parameter {name}: {value}")
    if method.request and body is not None:
        _Checker(method, faults).value(method.request, body, "body")
    return faults


class _Checker:
    """Collects the faults of one body."""

    def __init__(self, method: Method, faults: list[str]) -> None:
        self._method = method
        self._faults = faults
        self._is_creation = method.call in ("create", "insert") and method.id not in _NOT_REQUIRED

    def value(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        """Check `value`, which lies at the path `at` of the body."""
        if "$ref" in schema:
            schema = self._method.schemas[schema["$ref"]]
        kinds = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "boolean": self._boolean,
            "integer": self._number,
            "number": self._number,
        }
        check = kinds.get(schema.get("type", ""))
        if value is not None and check:
            check(schema, value, at)

    def _object(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        if not isinstance(value, dict):
            self._invalid(at, f"an object is expected, not {json.dumps(value)}")
            return
        fields, of_any_name = schema.get("properties", {}), schema.get("additionalProperties")
        if self._method.verb != "PATCH":
            for name in [name for name in value if name in fields and value[name] in (None, "")]:
                del value[name]
        for name, item in value.items():
            if name in fields:
                self.value(fields[name], item, f"{at}.{name}")
            elif of_any_name is not None:
                self.value(of_any_name, item, f"{at}.{name}")
            elif fields and item not in ([], {}, "", None):
                self._faults.append(
                    f"Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
                )
        if self._is_creation:
            for name, described in fields.items():
                if self._is_required(described, at) and value.get(name) in (None, ""):
                    self._faults.append(f"Required field '{at}.{name}' not specified")

    def _is_required(self, field: Mapping[str, Any], at: str) -> bool:
        """Whether a resource cannot be created without `field`. The body's own name and parent come in the address."""
        if self._method.id in field.get("annotations", {}).get("required", ()):
            return True
        return at != "body" and field.get("description", "").startswith("Required.")

    def _array(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        if not isinstance(value, list):
            self._invalid(at, f"a list is expected, not {json.dumps(value)}")
            return
        value[:] = [item for item in value if item is not None]
        for index, item in enumerate(value):
            self.value(schema["items"], item, f"{at}[{index}]")

    def _string(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        form = schema.get("format")
        if form in ("int64", "uint64") and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self._invalid(at, f"(TYPE_STRING), {json.dumps(value)}")
            return
        if not value:
            return
        if value not in schema.get("enum", [value]):
            self._invalid(at, f'"{value}" is none of {", ".join(schema["enum"])}')
        if form in _FORMATS and not re.fullmatch(_FORMATS[form], value):
            self._invalid(at, f'"{value}" is no {form}')
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            self._invalid(at, f"\"{value}\" does not match '{schema['pattern']}'")

    def _boolean(self, _schema: Mapping[str, Any], value: Any, at: str) -> None:
        if not isinstance(value, bool):
            self._invalid(at, f"(TYPE_BOOL), {json.dumps(value)}")

    def _number(self, schema: Mapping[str, Any], value: Any, at: str) -> None:
        kind = schema["type"]
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._invalid(at, f"(TYPE_{kind.upper()}), {json.dumps(value)}")
            return
        lowest, highest = _RANGES.get(schema.get("format", ""), (float("-inf"), float("inf")))
        lowest, highest = float(schema.get("minimum", lowest)), float(schema.get("maximum", highest))
        if not lowest <= value <= highest or (kind == "integer" and value != int(value)):
            self._invalid(at, f"{value} is no {schema.get('format', kind)}")

    def _invalid(self, at: str, why: str) -> None:
        self._faults.append(f"Invalid value at '{at}': {why}")
