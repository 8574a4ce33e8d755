"""Artifacts and models."""

from datetime import datetime

from api.answers import PageOf
from api.schemas.base import Digest, Name, Request, View


class ArtifactView(View):
    """Bytes by their digest."""

    digest: str
    size_bytes: int
    name: str
    created_at: datetime


class ModelCreate(Request):
    """Give an uploaded ONNX file a name."""

    name: Name
    digest: Digest


class TensorView(View):
    """An input or output; a dimension is a number, a name or null for any."""

    name: str
    dtype: str
    shape: list[int | str | None]


class ModelView(View):
    """A registered model."""

    id: str
    name: str
    digest: str
    inputs: list[TensorView]
    outputs: list[TensorView]
    parameter_count: int
    created_at: datetime


ArtifactPage = PageOf[ArtifactView]
ModelPage = PageOf[ModelView]
