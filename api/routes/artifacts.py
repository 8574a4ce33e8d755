"""Artifacts by digest: uploaded as a stream, read whole or in ranges; and models made of them.

Tenants show a key, nodes the grant of an order. An upload is idempotent by its content, so these
routes take no Idempotency-Key.
"""

import re
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.answers import Answer, Paging, once, page, paging, reply
from api.caller import Call, Reader, allow, bearer, identify, limit_requests, platform_of
from api.errors import problem
from api.platform import Platform
from api.routing import JsonRoute
from api.schemas.artifacts import ArtifactPage, ArtifactView, ModelCreate, ModelPage, ModelView
from api.schemas.base import Key, Label
from broker.services import artifacts, models
from broker.services.artifact_store import FileStore, Upload
from broker.services.artifacts import ArtifactRecord, NewArtifact
from broker.services.grants import PREFIX, Grant, check_grant
from broker.services.principals import READ, WRITE, Principal
from broker.services.refusals import Invalid
from db.repositories import artifacts as artifact_rows
from db.repositories import models as model_rows
from db.tables import Role

WRITE_BYTES = 1 << 20
OCTETS = "application/octet-stream"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,  # no body: the artifact of no bytes
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "The range asked for.", "content": {OCTETS: {"schema": {}}}},
    304: {"description": "The asker has these bytes."},
}
DigestPath = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
Asker = Principal | Grant

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["artifacts"])
model_router = APIRouter(route_class=JsonRoute, prefix="/v1/models", tags=["models"])


async def asker(request: Request) -> Asker:
    """A person's key or a node's grant."""
    platform, presented = platform_of(request), bearer(request)
    if presented is not None and presented.startswith(f"{PREFIX}."):
        return check_grant(platform.secret, presented, now=platform.now())
    principal = await identify(request, platform)
    limit_requests(platform, principal)
    if request.method not in ("GET", "HEAD"):
        principal.need_scope(WRITE)
        principal.need_role(Role.OPERATOR, Role.TENANT)
    else:
        principal.need_scope(READ)
    return principal


AskerOf = Annotated[Asker, Depends(asker)]


@router.post("/artifacts", status_code=201, response_model=ArtifactView, openapi_extra=_BODY)
async def create_artifact(
    request: Request, who: AskerOf, name: Annotated[Label, Query()] = ""
) -> Response:
    """Upload bytes; the answer says their digest."""
    return await _receive(request, who, digest="", name=name)


@router.put(
    "/artifacts/{digest}", status_code=201, response_model=ArtifactView, openapi_extra=_BODY
)
async def put_artifact(
    request: Request, who: AskerOf, digest: DigestPath, name: Annotated[Label, Query()] = ""
) -> Response:
    """Upload bytes that must have this digest; doing it again changes nothing."""
    return await _receive(request, who, digest=digest, name=name)


@router.get("/artifacts", response_model=ArtifactPage)
def list_artifacts(call: Reader, at: Annotated[Paging, Depends(paging)]) -> Response:
    """What one uploaded or one's jobs made; all for operators and viewers."""
    found = call.transaction(
        lambda session: artifact_rows.page(
            session, account_id=call.principal.view, after=at.after, limit=at.limit
        )
    )
    return page(ArtifactPage, found, ArtifactView.model_validate)


@router.get("/artifacts/{digest}", response_class=Response, responses=_BYTES)
def get_artifact(request: Request, who: AskerOf, digest: DigestPath) -> Response:
    """The bytes, whole or a range of them."""
    platform = platform_of(request)
    record = platform.transaction(lambda session: artifacts.show(session, digest, asker=who))
    return send_artifact(request, platform.store, record)


@router.head("/artifacts/{digest}", response_class=Response)
def head_artifact(request: Request, who: AskerOf, digest: DigestPath) -> Response:
    """Whether it is there for the asker, and its size."""
    platform = platform_of(request)
    record = platform.transaction(lambda session: artifacts.show(session, digest, asker=who))
    return Response(headers=_headers(record) | {"Content-Length": str(record.size_bytes)})


@model_router.post("", status_code=201, response_model=ModelView)
def create_model(
    call: Annotated[Call, Depends(allow(WRITE, Role.OPERATOR, Role.TENANT))], body: ModelCreate
) -> Response:
    """Register an uploaded ONNX file under a name."""
    platform, principal = call.platform, call.principal
    call.transaction(
        lambda session: models.need_artifact(session, body.digest, principal=principal)
    )
    with platform.store.local_file(body.digest) as path:
        inspected = models.inspect(path)

    def work(session: Session) -> Answer:
        model = models.register(
            session,
            name=body.name,
            digest=body.digest,
            inspected=inspected,
            principal=principal,
            now=call.now,
        )
        headers = {"Location": f"/v1/models/{model.id}"}
        return Answer(model=ModelView.model_validate(model), headers=headers)

    return once(call, work)


@model_router.get("", response_model=ModelPage)
def list_models(call: Reader, at: Annotated[Paging, Depends(paging)]) -> Response:
    """One's own models; all for operators and viewers."""
    found = call.transaction(
        lambda session: model_rows.page(
            session, account_id=call.principal.view, after=at.after, limit=at.limit
        )
    )
    return page(ModelPage, found, ModelView.model_validate)


@model_router.get("/{model_id}", response_model=ModelView)
def get_model(call: Reader, model_id: Key) -> Response:
    """A model by id or name."""
    model = call.transaction(
        lambda session: models.show(session, model_id, principal=call.principal)
    )
    return reply(ModelView.model_validate(model))


def send_artifact(request: Request, store: FileStore, record: ArtifactRecord) -> Response:
    """The bytes of ``record``, as the headers Range and If-None-Match ask."""
    headers, size = _headers(record), record.size_bytes
    if record.digest in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    starts, ends, status = 0, size, 200
    if match := RANGE.fullmatch(request.headers.get("range", "").strip()):
        found = _range(match[1], match[2], size)
        if found is None:
            return problem(
                request,
                "range_not_satisfiable",
                f"The artifact has {size} bytes.",
                headers={"Content-Range": f"bytes */{size}"},
            )
        starts, ends, status = *found, 206
        headers["Content-Range"] = f"bytes {starts}-{ends - 1}/{size}"
    headers["Content-Length"] = str(ends - starts)
    chunks = store.read(record.digest, offset=starts, length=ends - starts)
    return StreamingResponse(chunks, status, headers, OCTETS)


def _range(first: str, last: str, size: int) -> tuple[int, int] | None:
    """``[starts, ends)`` of a range; None if it names nothing of ``size`` bytes."""
    if first == "":
        starts, ends = (max(0, size - int(last)), size) if last else (size, size)
    else:
        starts, ends = int(first), min(size, int(last) + 1) if last else size
    return (starts, ends) if starts < ends else None


def _headers(record: ArtifactRecord) -> dict[str, str]:
    name = quote(record.name or record.digest.removeprefix("sha256:"), safe="")
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{record.digest}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Type": OCTETS,
    }


async def _receive(request: Request, who: Asker, *, digest: str, name: str) -> Response:
    platform = platform_of(request)
    if isinstance(who, Grant) and not digest:
        raise Invalid("A node names the digest of what it uploads.", pointer="/digest")
    bytes_max = await run_in_threadpool(
        platform.transaction,
        lambda session: artifacts.upload_bytes_max(
            session, asker=who, bytes_max=platform.settings.artifact_bytes_max
        ),
    )
    upload = await run_in_threadpool(platform.store.begin, bytes_max=bytes_max)
    try:
        await _copy(request, upload)
        return await run_in_threadpool(_finish, platform, upload, who, digest, name)
    finally:
        await run_in_threadpool(upload.__exit__, None, None, None)


async def _copy(request: Request, upload: Upload) -> None:
    """Write the body in large pieces, off the loop."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) >= WRITE_BYTES:
            await run_in_threadpool(upload.write, bytes(held))
            held.clear()
    await run_in_threadpool(upload.write, bytes(held))


def _finish(platform: Platform, upload: Upload, who: Asker, digest: str, name: str) -> Response:
    found = upload.finish(digest=digest)
    now, account_id = platform.now(), who.account_id
    new = NewArtifact(digest=found, size_bytes=upload.size_bytes, account_id=account_id, name=name)

    def work(session: Session) -> ArtifactRecord:
        artifacts.record(session, [new], now=now)
        record = artifact_rows.get(session, found, account_id=account_id)
        assert record is not None
        return record

    view = ArtifactView.model_validate(platform.transaction(work))
    return reply(view, status=201, headers={"Location": f"/v1/artifacts/{found}"})
