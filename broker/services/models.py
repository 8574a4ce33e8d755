"""ONNX models registered under a name: what they take, give and weigh."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Conflict, Invalid, NotFound
from db.errors import constraint_of
from db.ids import new_id
from db.repositories import artifacts, models
from db.tables import Model

INSPECT_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What is in an ONNX file; a dimension is a number, a name or None for any."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    parameter_count: int


def inspect(path: Path) -> Inspected:
    """Look into the file, in a process with limits. Raises ``Invalid`` (``model_invalid``).

    Takes some 300 ms: call it outside a transaction.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "broker.services.onnx_inspect", str(path)],
            capture_output=True,
            timeout=INSPECT_TIMEOUT_S,
            check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
        )
        found = orjson.loads(done.stdout) if done.returncode == 0 else {"error": "it crashes onnx"}
    except (subprocess.TimeoutExpired, orjson.JSONDecodeError):
        found = {"error": "it takes too long to read"}
    if "error" in found:
        raise _invalid(str(found["error"]))
    if "\x00" in done.stdout.decode() or b"\\u0000" in done.stdout:
        raise _invalid("its names contain NUL characters")
    return Inspected(**found)


def register(
    session: Session,
    *,
    name: str,
    digest: str,
    inspected: Inspected,
    principal: Principal,
    now: datetime,
) -> Model:
    """Give an uploaded model a name. Raises ``Conflict`` (``name_taken``), ``NotFound``."""
    need_artifact(session, digest, principal=principal)
    model = Model(
        id=new_id("model", now),
        account_id=principal.account_id,
        name=name,
        digest=digest,
        inputs=inspected.inputs,
        outputs=inspected.outputs,
        parameter_count=inspected.parameter_count,
        created_at=now,
    )
    session.add(model)
    try:
        session.flush()
    except IntegrityError as error:
        if constraint_of(error) != "uq_models_account_id_name":
            raise
        raise Conflict(f"You have a model {name!r} already.", code="name_taken") from error
    return model


def need_artifact(session: Session, digest: str, *, principal: Principal) -> None:
    """Raise ``NotFound`` unless the asker may read the artifact."""
    if artifacts.get(session, digest, account_id=principal.view) is None:
        raise NotFound("artifact", digest, code="unknown_artifact")


def show(session: Session, key: str, *, principal: Principal) -> Model:
    """A model by id or name."""
    model = models.get(session, key, account_id=principal.view)
    if model is None:
        raise NotFound("model", key)
    return model


def _invalid(why: str) -> Invalid:
    return Invalid(
        f"That is not an ONNX model that can be run: {why}",
        code="model_invalid",
        pointer="/digest",
    )
