"""The OpenAPI document: made from the routes, committed: ``python -m api.openapi [--check]``."""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel, Field

from api.problems import MEDIA_TYPE

COMMITTED = Path(__file__).parent.parent / "docs" / "openapi.json"
DESCRIPTION = (
    "An open marketplace and control plane for computing at the edge.\n\n"
    "Every error is `application/problem+json` with a stable `code`. Lists are pages: `limit`, "
    "`cursor` → `items`, `next_cursor`. A POST with an `Idempotency-Key` has its effect once. "
    "Money is in micros, millionths of a credit. Times are RFC 3339 in UTC."
)
OPEN_OPERATIONS = frozenset(
    {
        "create_session",
        "get_ca",
        "enrol_node",
        "renew_node",
        "get_health",
        "get_readiness",
        "get_metrics",
    }
)
IDEMPOTENT_OPERATIONS = frozenset(
    {
        "create_account",
        "create_deposit",
        "create_withdrawal",
        "create_key",
        "create_token",
        "create_cell",
        "create_model",
        "create_job",
        "cancel_job",
        "create_policy",
    }
)
_STATUSES = {
    "400": "The request cannot be read.",
    "401": "Nobody known is asking.",
    "402": "The purse has too little.",
    "403": "Not allowed.",
    "404": "There is no such thing, or it is not yours to see.",
    "409": "The present state does not allow it.",
    "412": "It was changed meanwhile.",
    "413": "The body is too large.",
    "416": "No such range.",
    "422": "Some fields are not valid.",
    "429": "Too many requests; see Retry-After.",
    "500": "Something broke on our side.",
    "503": "The platform is not ready; see Retry-After.",
}


class ProblemError(BaseModel):
    """One thing that is wrong."""

    pointer: str = Field(description="JSON pointer into the body, or `query:name` and its like.")
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str = Field(description="A page of this server: `/problems/<code>`.")
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError]
    trace_id: str
    retryable: bool
    missing_micros: int | None = Field(default=None, description="Of `insufficient_funds`.")


def install(app: FastAPI) -> None:
    """Have ``app`` describe its errors, keys and headers, not only its successes."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(plain())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Problem, ProblemError):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    components["responses"] = {
        f"Problem{code}": _response(text) for code, text in _STATUSES.items()
    }
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "`souk_<prefix>_<secret>`"},
        "session": {"type": "apiKey", "in": "cookie", "name": "souk_session"},
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _describe(path, method, operation)
    return document


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    operation_id = operation["operationId"]
    responses = operation["responses"]
    for status in _possible(path, method, operation):
        responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
    if operation_id in OPEN_OPERATIONS:
        operation["security"] = []
        return
    operation["security"] = [{"apiKey": []}, {"session": []}]
    if method == "post" and operation_id in IDEMPOTENT_OPERATIONS:
        _add_header(operation, "Idempotency-Key", "The same key has its effect once.", minLength=1)
    if method == "patch":
        _add_header(operation, "If-Match", "The ETag that the change is based on.")


def _possible(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    found = {"400", "401", "403", "429", "500", "503"}
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "{" in path or method in ("post", "put", "delete") or "cell_id" in names:
        found.add("404")
    if "requestBody" in operation or operation.get("parameters"):
        found.add("422")
    if "requestBody" in operation:
        found |= {"413"}
    if method in ("post", "patch"):
        found |= {"402", "409"}
    if method == "patch":
        found.add("412")
    if path.endswith(("/result", "/artifacts/{digest}")):
        found |= {"416", "422"}
    return sorted(found)


def _response(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}


def _add_header(operation: dict[str, Any], name: str, text: str, **bounds: int) -> None:
    operation.setdefault("parameters", []).append(
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string", **bounds},
        }
    )


def render() -> bytes:
    """The document as it is committed."""
    from api.app import make_app
    from broker.settings import Settings

    document = make_app(Settings()).openapi()
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main() -> int:
    """Write the committed document, or with ``--check`` say whether it is the present one."""
    parser = argparse.ArgumentParser(prog="python -m api.openapi", description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = render()
    if not parser.parse_args().check:
        COMMITTED.write_bytes(wanted)
        return 0
    if COMMITTED.is_file() and COMMITTED.read_bytes() == wanted:
        return 0
    sys.stderr.write("docs/openapi.json is not the present one: run python -m api.openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
