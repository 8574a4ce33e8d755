"""A mixed workload: jobs of three kinds with the results that each must bring."""

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from client.client import Client
from client.requests import Array, JobRequest, OnnxCode, Task, WasmCode
from stack.demo_workloads import digits
from stack.demo_workloads.modules import (
    mandelbrot_directly,
    module,
    primes_directly,
    words_directly,
)

PICTURE_WIDTH, PICTURE_HEIGHT = 76, 24
MODEL_NAME = "digits"
WASM_SLOT = {"cpu_millis": 100, "memory_bytes": 64 << 20}
ONNX_SLOT = {"cpu_millis": 100, "memory_bytes": 256 << 20}
LIMIT_MICROS_PER_HOUR = 10_000_000  # of a slot of a tenth of a core
_WORDS = tuple(
    "the market opens and a lease is made for work that goes where power is cheap".split()  # noqa: SIM905
)

Check = Callable[[Sequence[bytes]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a tenant has uploaded: digests of modules, name of the model."""

    primes: str
    words: str
    mandelbrot: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job to submit; ``complaint(results)`` says what is wrong with its results, or nothing."""

    request: JobRequest
    complaint: Check


def upload(souk: Client) -> Code:
    """Upload the modules and register the model, where they are not there yet."""
    digest = {
        name: souk.artifacts.put(module(name), name=f"{name}.wasm").digest
        for name in ("primes", "words", "mandelbrot")
    }
    model_digest = souk.artifacts.put(digits.model(), name="digits.onnx").digest
    if not any(model.digest == model_digest for model in souk.models.list()):
        souk.models.register(f"{MODEL_NAME}-{model_digest[7:15]}", digest=model_digest)
    return Code(model=model_digest, **digest)


def mixed(code: Code, *, count: int, seed: int) -> Iterator[Work]:
    """``count`` jobs, the kinds in turn, each different; the same for the same ``seed``."""
    rng = random.Random(seed)  # noqa: S311  a workload, not a secret
    makers = (count_primes, count_words, read_digits, count_primes_in_list)
    for number in range(count):
        yield makers[number % len(makers)](code, rng)


def count_primes(code: Code, rng: random.Random) -> Work:
    """One task that keeps a processor busy for a few milliseconds."""
    limit = rng.randrange(50_000, 800_000)
    return Work(
        request=_wasm(code.primes, f"primes-to-{limit}", [Task(args=[str(limit)])]),
        complaint=_exactly(lambda: [primes_directly(limit)]),
    )


def count_primes_in_list(code: Code, rng: random.Random) -> Work:
    """Four tasks, one after the other or side by side."""
    limits = [rng.randrange(1_000, 50_000) for _ in range(4)]
    return Work(
        request=_wasm(code.primes, "primes-in-parts", [Task(args=[str(n)]) for n in limits]),
        complaint=_exactly(lambda: [primes_directly(limit) for limit in limits]),
    )


def count_words(code: Code, rng: random.Random) -> Work:
    """One task that reads a text."""
    text = " ".join(rng.choices(_WORDS, k=rng.randrange(200, 2_000))).replace("is ", "is\n")
    return Work(
        request=_wasm(code.words, "word-count", [Task(text=text)]),
        complaint=_exactly(lambda: [words_directly(text.encode())]),
    )


def read_digits(code: Code, rng: random.Random) -> Work:
    """Inference: six noisy pictures in one task."""
    shown = np.array([rng.randrange(10) for _ in range(6)])
    pictures = digits.noisy(shown, seed=rng.randrange(1 << 30))
    expected = [int(digit) for digit in digits.read_directly(pictures)]
    tensor = [[float(pixel) for pixel in picture] for picture in pictures]
    request = JobRequest(
        name="read-" + "".join(map(str, shown)),
        code=OnnxCode(model=code.model),
        tasks=[Task(json={"pixels": tensor})],
        resources=ONNX_SLOT,
        limit_price_micros_per_hour=LIMIT_MICROS_PER_HOUR,
    )
    return Work(request=request, complaint=lambda results: _misread(results, expected))


def draw_mandelbrot(code: Code) -> Work:
    """An array job: one row of a picture a task."""
    size = [str(PICTURE_WIDTH), str(PICTURE_HEIGHT)]
    tasks = Array(count=PICTURE_HEIGHT, task=Task(args=["{index}", *size]))
    return Work(
        request=_wasm(code.mandelbrot, "mandelbrot", tasks),
        complaint=_exactly(_rows_directly),
    )


def _rows_directly() -> list[bytes]:
    return [
        mandelbrot_directly(row, PICTURE_WIDTH, PICTURE_HEIGHT) for row in range(PICTURE_HEIGHT)
    ]


def as_text(data: bytes) -> str:
    """A result for a message: as text where it is some."""
    try:
        return data.decode()[:60]
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()[:60]


def _wasm(digest: str, name: str, tasks: Sequence[Task] | Array) -> JobRequest:
    return JobRequest(
        name=name,
        code=WasmCode(module=digest),
        tasks=tasks,
        resources=WASM_SLOT,
        limit_price_micros_per_hour=LIMIT_MICROS_PER_HOUR,
    )


def _exactly(directly: Callable[[], Sequence[bytes]]) -> Check:
    """Compares with the same work done directly, which waits until there is a result to compare."""

    def complaint(results: Sequence[bytes]) -> str:
        expected = directly()
        if len(results) != len(expected):
            return f"{len(results)} results where {len(expected)} were due"
        for index, (found, due) in enumerate(zip(results, expected, strict=True)):
            if found != due:
                return f"task {index} wrote {as_text(found)!r} instead of {as_text(due)!r}"
        return ""

    return complaint


def _misread(results: Sequence[bytes], expected: list[int]) -> str:
    if len(results) != 1:
        return f"{len(results)} results where 1 was due"
    found = json.loads(results[0]).get("digit")
    return "" if found == expected else f"read {found} where the network reads {expected}"
