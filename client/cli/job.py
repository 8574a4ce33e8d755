"""``souk job``: submit work, follow it, and get its results."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, JobNotSucceeded
from .group import make_group
from .job_flags import (
    code_flags,
    constraint_flags,
    limit_flags,
    need_flags,
    overlay,
    task_flags,
)
from .options import ROWS_DEFAULT, ContextName, Limit, Output, OutputFormat, State, Watch, connect

if TYPE_CHECKING:
    from ..client import Client
    from ..resources import Job

app = make_group("Submit jobs, follow them, get their results.")

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Its id, its name, or `last`.")]
File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A job in TOML or JSON; flags go over it.")
]
Wasm = Annotated[str, typer.Option("--wasm", help="A WASI module: a file, or a digest.")]
Onnx = Annotated[str, typer.Option("--onnx", help="A model: a file, a digest, a name or an id.")]
Args = Annotated[list[str], typer.Option("--arg", help="An argument; may be repeated.")]
Stdin = Annotated[str, typer.Option("--stdin", help="A file as input; `-` is standard input.")]
Env = Annotated[list[str], typer.Option("--env", help="KEY=VALUE for the module.")]
Fuel = Annotated[int, typer.Option("--fuel", min=0, help="The most WASM fuel a task may burn.")]
ArrayCount = Annotated[
    int, typer.Option("--array", min=0, help="So many tasks; `{index}` in arguments is its number.")
]
Name = Annotated[str, typer.Option("--name", help="A name to find it by.")]
Cpu = Annotated[str, typer.Option("--cpu", help="Cores of one task, e.g. 0.5.")]
Memory = Annotated[str, typer.Option("--memory", help="Memory of one task, e.g. 128MiB.")]
LimitPrice = Annotated[
    str, typer.Option("--limit-price", help="The most credits for one task during one hour.")
]
Budget = Annotated[str, typer.Option("--budget", help="The most credits for the whole job.")]
Slots = Annotated[int, typer.Option("--slots", min=0, help="The most tasks at the same time.")]
CellName = Annotated[str, typer.Option("--cell", help="Its home cell, by name or id.")]
Labels = Annotated[list[str], typer.Option("--label", help="KEY=VALUE that the node must have.")]
NotLabels = Annotated[list[str], typer.Option("--not-label", help="KEY=VALUE it must not have.")]
Arch = Annotated[list[str], typer.Option("--arch", help="An architecture, e.g. x86_64.")]
OnNodes = Annotated[list[str], typer.Option("--node", help="Only on this node (id).")]
CellOnly = Annotated[bool, typer.Option("--cell-only", help="Never outside the home cell.")]
MaxRun = Annotated[str, typer.Option("--max-run", help="The longest one try may take, e.g. 30s.")]
MaxTotal = Annotated[str, typer.Option("--max-total", help="The longest the job may take.")]
Deadline = Annotated[str, typer.Option("--deadline", help="When it is wanted, from now.")]
Latency = Annotated[int, typer.Option("--latency-ms", min=0, help="The most to the home cell.")]
TopUp = Annotated[
    bool, typer.Option("--top-up", help="Buy extra slots when it would be late or ill served.")
]
Attempts = Annotated[int, typer.Option("--attempts", min=0, help="Tries per task.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 8 if not successful.")]
Results = Annotated[
    bool, typer.Option("--results", help="Wait, then write the results to standard output.")
]
Timeout = Annotated[str, typer.Option("--timeout", help="Wait no longer than this, e.g. 5m.")]


@app.command()
def submit(
    file: File = None,
    wasm: Wasm = "",
    onnx: Onnx = "",
    arg: Args = [],  # noqa: B006  typer copies it
    stdin: Stdin = "",
    env: Env = [],  # noqa: B006
    fuel: Fuel = 0,
    array: ArrayCount = 0,
    name: Name = "",
    cpu: Cpu = "",
    memory: Memory = "",
    limit_price: LimitPrice = "",
    budget: Budget = "",
    slots: Slots = 0,
    cell: CellName = "",
    label: Labels = [],  # noqa: B006
    not_label: NotLabels = [],  # noqa: B006
    arch: Arch = [],  # noqa: B006
    node: OnNodes = [],  # noqa: B006
    cell_only: CellOnly = False,
    max_run: MaxRun = "",
    max_total: MaxTotal = "",
    deadline: Deadline = "",
    latency_ms: Latency = 0,
    top_up: TopUp = False,
    attempts: Attempts = 0,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would become of it.")] = False,
    wait: Wait = False,
    results: Results = False,
    timeout: Timeout = "",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Submit a job, described by flags, a file, or both."""
    from ..job_files import read_document
    from .job_views import job_details, plan_details
    from .output import show_one

    document = read_document(file) if file else {}
    flags = [
        code_flags(wasm=wasm, onnx=onnx, env=env, fuel=fuel),
        task_flags(args=arg, stdin=_input(stdin), array=array),
        need_flags(
            cpu=cpu,
            memory=memory,
            limit_price=limit_price,
            budget=budget,
            slots=slots,
            cell=cell,
            name=name,
        ),
        constraint_flags(
            labels=label, not_labels=not_label, arch=arch, nodes=node, cell_only=cell_only
        ),
        limit_flags(
            max_run=max_run,
            max_total=max_total,
            deadline=deadline,
            latency_ms=latency_ms,
            top_up=top_up,
            attempts=attempts,
        ),
    ]
    with connect(context) as souk:
        body = _resolve(souk, document, flags, file)
        if plan:
            show_one(souk.jobs.plan(body), plan_details, output=output)
            return
        job = souk.jobs.submit(body)
        if wait or results:
            job = _wait(souk, job.id, timeout)
        if results:
            _print_results(souk, job, output)
        else:
            show_one(job, job_details, output=output)
        _check(job, waited=wait or results)


@app.command("list")
def list_(
    state: State = "",
    name: Annotated[str, typer.Option("--name", help="Only those of this name.")] = "",
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List jobs, newest first."""
    from .job_views import JOBS
    from .output import show_list

    with connect(context) as souk:
        show_list(
            lambda: souk.jobs.list(state=state or None, name=name or None, limit=limit),
            JOBS,
            output=output,
            watch=watch,
            empty="No jobs. Submit one: souk job submit --help",
        )


@app.command()
def show(
    job: JobName,
    tasks: Annotated[bool, typer.Option("--tasks", help="Also its tasks.")] = False,
    attempts: Annotated[bool, typer.Option("--attempts", help="Also every try.")] = False,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show one job."""
    from .job_views import ATTEMPTS, TASKS, job_details
    from .names import job_id
    from .output import present, stack, table

    with connect(context) as souk:
        found_id = job_id(souk, job)

        def fetch() -> tuple[Any, list[Any], list[Any]]:
            tried = list(souk.jobs.attempts(found_id, limit=ROWS_DEFAULT)) if attempts else []
            units = list(souk.jobs.tasks(found_id, limit=ROWS_DEFAULT)) if tasks else []
            return souk.jobs.get(found_id), units, tried

        present(
            fetch,
            render=lambda found: stack(
                job_details(found[0]),
                *(["", table(found[1], TASKS)] if found[1] else []),
                *(["", table(found[2], ATTEMPTS)] if found[2] else []),
            ),
            document=lambda found: {
                **found[0].raw,
                **({"task_items": [task.raw for task in found[1]]} if tasks else {}),
                **({"attempt_items": [attempt.raw for attempt in found[2]]} if attempts else {}),
            },
            output=output,
            watch=watch,
            done=lambda found: bool(found[0].ended),
        )


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A job in TOML or JSON.")],
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Say what would become of a job: price, chance, start. Submits nothing."""
    from ..job_files import read_document
    from .job_views import plan_details
    from .output import show_one

    with connect(context) as souk:
        body = _resolve(souk, read_document(file), [], file)
        show_one(souk.jobs.plan(body), plan_details, output=output)


@app.command()
def explain(job: JobName, output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Say why a job is where it is: what ruled nodes out, why it lost, what would have won."""
    from .job_views import explanation
    from .names import job_id
    from .output import show_one

    with connect(context) as souk:
        found_id = job_id(souk, job)
        show_one(souk.jobs.explain(found_id), explanation, output=output)


@app.command()
def logs(
    job: JobName,
    task: Annotated[int | None, typer.Option("--task", min=0, help="Only this task.")] = None,
    tail: Annotated[int | None, typer.Option("--tail", min=1, help="Only the last lines.")] = None,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Print what tasks wrote to standard error."""
    from .job_views import log_text
    from .names import job_id
    from .output import print_json, visible

    with connect(context) as souk:
        tails = list(souk.jobs.logs(job_id(souk, job), task=task, tail=tail))
    if output is OutputFormat.JSON:
        print_json([found.raw for found in tails])
    else:
        typer.echo(visible(log_text(tails)), nl=bool(tails))


@app.command()
def cancel(job: JobName, output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Ask for a job's end; what was delivered until then is paid."""
    from .job_views import job_details
    from .names import job_id
    from .output import show_one

    with connect(context) as souk:
        found = souk.jobs.cancel(job_id(souk, job))
        show_one(found, job_details, output=output)


@app.command()
def wait(
    job: JobName,
    timeout: Timeout = "",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Wait for a job's end; exit 8 if it was not successful, 9 if the time is over."""
    from .job_views import job_details
    from .names import job_id
    from .output import show_one

    with connect(context) as souk:
        found = _wait(souk, job_id(souk, job), timeout)
        show_one(found, job_details, output=output)
        _check(found, waited=True)


@app.command("results")
def results_(
    job: JobName,
    task: Annotated[int | None, typer.Option("--task", min=0, help="Only this task.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write files 00000, 00001, … to this folder.")
    ] = None,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Get what tasks wrote: to standard output, or one file a task."""
    from .names import job_id

    with connect(context) as souk:
        found = souk.jobs.get(job_id(souk, job))
        if task is not None:
            _write(souk.jobs.result(found.id, task))
        elif out is not None:
            typer.echo(f"{_save_results(souk, found, out)} results in {out}")
        else:
            _print_results(souk, found, output)


def _input(stdin: str) -> dict[str, Any] | None:
    from ..job_files import inline_input

    if not stdin:
        return None
    return inline_input(sys.stdin.buffer.read()) if stdin == "-" else {"file": stdin}


def _resolve(
    souk: "Client", document: dict[str, Any], flags: list[dict[str, Any]], file: Path | None
) -> dict[str, Any]:
    """The request: the file's document with its paths, then the flags over it with theirs."""
    from ..job_files import resolve

    body = resolve(document, folder=file.parent if file else Path(), artifacts=souk.artifacts)
    merged: dict[str, Any] = {}
    for each in flags:
        merged = overlay(merged, each)
    if "array" in merged and "tasks" not in merged:
        body.pop("tasks", None)
    if "tasks" in merged:
        body.pop("array", None)
    body = overlay(body, resolve(merged, folder=Path(), artifacts=souk.artifacts))
    if "wasm" not in body and "onnx" not in body:
        raise ConfigError("say what to run: --wasm FILE, --onnx MODEL, or a job file")
    if "tasks" not in body and "array" not in body:
        body["tasks"] = [{}]
    return body


def _wait(souk: "Client", job_id: str, timeout: str) -> "Job":
    from ..units import parse_duration_s
    from .job_views import progress_line
    from .output import console

    try:
        timeout_s = parse_duration_s(timeout) if timeout else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    screen = console(stderr=True)
    if not screen.is_terminal:
        return souk.jobs.wait(job_id, timeout_s=timeout_s)
    with screen.status(job_id) as status:
        return souk.jobs.wait(
            job_id, timeout_s=timeout_s, on_change=lambda job: status.update(progress_line(job))
        )


def _check(job: "Job", *, waited: bool) -> None:
    from .job_views import why_ended

    if waited and not job.succeeded:
        why = why_ended(job)
        raise JobNotSucceeded(
            f"{job.id} {job.state}{': ' + why if why else ''}; "
            f"see `souk job show {job.id} --tasks`",
            job_id=job.id,
            state=job.state,
        )


def _print_results(souk: "Client", job: "Job", output: OutputFormat) -> None:
    from ..job_files import inline_input
    from .output import print_json

    done = sorted(souk.jobs.tasks(job.id, state="succeeded"), key=lambda task: task.index)
    if output is OutputFormat.JSON:
        found = ((task.index, souk.jobs.result(job.id, task.index)) for task in done)
        print_json([{"index": index, **inline_input(data)} for index, data in found])
        return
    for task in done:
        _write(souk.jobs.result(job.id, task.index), line=len(done) > 1)


def _save_results(souk: "Client", job: "Job", folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for task in souk.jobs.tasks(job.id, state="succeeded"):
        (folder / f"{task.index:05d}").write_bytes(souk.jobs.result(job.id, task.index))
        count += 1
    return count


def _write(data: bytes, *, line: bool = False) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    if (line or sys.stdout.isatty()) and not data.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
