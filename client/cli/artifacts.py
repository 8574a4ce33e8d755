"""``souk artifact`` and ``souk model``: bytes by digest, and the models made of them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..resources import Artifact, Model
from ..units import format_bytes
from .group import make_group
from .options import ROWS_DEFAULT, ContextName, Limit, Output, OutputFormat, connect
from .output import Column, age_of, details, present, show_list, show_one

artifacts = make_group("Modules, models, inputs and results, by digest.")
models = make_group("Registered ONNX models.")

_ARTIFACTS: tuple[Column[Artifact], ...] = (
    Column(title="DIGEST", read=lambda artifact: artifact.digest),
    Column(title="SIZE", read=lambda artifact: format_bytes(artifact.size_bytes), right=True),
    Column(title="NAME", read=lambda artifact: artifact.name or ""),
    age_of(lambda artifact: artifact.created_at),
)
_MODELS: tuple[Column[Model], ...] = (
    Column(title="ID", read=lambda model: model.id),
    Column(title="NAME", read=lambda model: model.name),
    Column(title="PARAMETERS", read=lambda model: f"{model.parameter_count or 0:,}", right=True),
    Column(title="INPUTS", read=lambda model: ", ".join(_tensor(each) for each in model.inputs)),
    Column(title="OUTPUTS", read=lambda model: ", ".join(_tensor(each) for each in model.outputs)),
)


@artifacts.command("list")
def list_artifacts(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List one's own artifacts."""
    with connect(context) as souk:
        show_list(
            lambda: souk.artifacts.list(limit=limit),
            _ARTIFACTS,
            output=output,
            empty="No artifacts.",
        )


@artifacts.command()
def put(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What to upload.")],
    name: Annotated[str, typer.Option("--name", help="Instead of the file's name.")] = "",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Upload a file; prints its digest. Nothing is sent if it is there already."""
    with connect(context) as souk:
        artifact = souk.artifacts.put(file, name=name)
        document = {"digest": artifact.digest, "size_bytes": artifact.size_bytes}
        present(
            lambda: artifact,
            render=lambda found: found.digest,
            document=lambda found: found.raw or document,
            output=output,
        )


@artifacts.command()
def get(
    digest: Annotated[str, typer.Argument(help="sha256:…")],
    out: Annotated[
        Path | None, typer.Option("--out", help="A file; what is there of it is continued.")
    ] = None,
    context: ContextName = "",
) -> None:
    """Download an artifact, verified, to a file or to standard output."""
    with connect(context) as souk:
        if out is None:
            sys.stdout.buffer.write(souk.artifacts.get(digest))
            sys.stdout.buffer.flush()
        else:
            typer.echo(f"{format_bytes(souk.artifacts.save(digest, out))} in {out}")


@models.command("list")
def list_models(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List models."""
    with connect(context) as souk:
        show_list(lambda: souk.models.list(limit=limit), _MODELS, output=output, empty="No models.")


@models.command()
def register(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="An ONNX file, or a digest.")],
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Upload an ONNX file, if need be, and register it under a name."""
    with connect(context) as souk:
        digest = file if file.startswith("sha256:") else souk.artifacts.put(Path(file)).digest
        model = souk.models.register(name, digest=digest)
        show_one(
            model,
            lambda found: details(
                {
                    "Model": found.id,
                    "Name": found.name,
                    "Digest": found.digest,
                    "Inputs": ", ".join(_tensor(each) for each in found.inputs),
                    "Outputs": ", ".join(_tensor(each) for each in found.outputs),
                    "Parameters": f"{found.parameter_count or 0:,}",
                }
            ),
            output=output,
        )


def _tensor(tensor: object) -> str:
    """``{"name": "x", "dtype": "float32", "shape": [1, 4]}`` → ``"x float32[1, 4]"``."""
    if not isinstance(tensor, dict):
        return str(tensor)
    shape = ", ".join(str(size) for size in tensor.get("shape") or ())
    return f"{tensor.get('name', '')} {tensor.get('dtype', '')}[{shape}]"
