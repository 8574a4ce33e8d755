"""From a job's request to its spec: names of cells and models become ids and digests."""

from sqlalchemy.orm import Session

from api.caller import Call
from api.schemas.job_requests import JobRequest
from broker.services.job_spec import JobSpec
from broker.services.refusals import Invalid, NotFound
from db.repositories import cells, models


class Names:
    """What names stand for; each is looked up once in a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cells: dict[str, str] = {}

    def cell(self, key: str) -> str:
        """The id of a cell. Raises ``NotFound``, ``Invalid``."""
        if key not in self._cells:
            self._cells[key] = self._find_cell(key)
        return self._cells[key]

    def model(self, key: str, *, account_id: str | None) -> str:
        """The digest of a model that the account may see. Raises ``NotFound``."""
        model = models.get(self._session, key, account_id=account_id)
        if model is None:
            raise NotFound("model", key)
        return model.digest

    def _find_cell(self, key: str) -> str:
        found = cells.place_of(self._session, key)
        if found is None:
            raise NotFound("cell", key)
        cell_id, name, level = found
        if level != "cell":
            raise Invalid(f"{name!r} is a {level}, not a cell.", pointer="/cell")
        return cell_id


def read_spec(names: Names, call: Call, body: JobRequest) -> JobSpec:
    """``body`` with the names of cell and model resolved. Raises ``NotFound``, ``Invalid``."""
    cell_id = "" if body.cell is None else names.cell(body.cell)
    code = ""
    if body.wasm is not None:
        code = body.wasm.module
    elif body.onnx is not None:
        code = body.onnx.model
        if not code.startswith("sha256:"):
            code = names.model(code, account_id=call.principal.view)
    tasks_max = call.platform.settings.tasks_per_job_max
    return body.to_spec(code_digest=code, cell_id=cell_id, tasks_max=tasks_max)
