"""From a job's request to its spec: names of cells and models become ids and digests."""

from sqlalchemy.orm import Session

from api.caller import Call
from api.schemas.job_requests import JobRequest
from broker.services.job_spec import JobSpec
from broker.services.refusals import Invalid, NotFound
from db.repositories import cells, models


def read_spec(session: Session, call: Call, body: JobRequest) -> JobSpec:
    """``body`` with the names of cell and model resolved. Raises ``NotFound``, ``Invalid``."""
    cell_id, code = "", ""
    if body.cell is not None:
        cell = cells.get(session, body.cell)
        if cell is None:
            raise NotFound("cell", body.cell)
        if cell.level != "cell":
            raise Invalid(f"{cell.name!r} is a {cell.level}, not a cell.", pointer="/cell")
        cell_id = cell.id
    if body.wasm is not None:
        code = body.wasm.module
    elif body.onnx is not None:
        code = body.onnx.model
        if not code.startswith("sha256:"):
            model = models.get(session, code, account_id=call.principal.view)
            if model is None:
                raise NotFound("model", code)
            code = model.digest
    tasks_max = call.platform.settings.tasks_per_job_max
    return body.to_spec(code_digest=code, cell_id=cell_id, tasks_max=tasks_max)
