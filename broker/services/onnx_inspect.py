"""Looks into an ONNX file, in a process of its own: ``-m broker.services.onnx_inspect FILE``.

A hostile file may make the parser run long, take memory or crash; here that ends this process and
nothing else. Prints one JSON object: what the model is, or ``{"error": "…"}``.
"""

import json
import resource
import sys
from typing import Any

MEMORY_BYTES_MAX = 6 << 30
CPU_S_MAX = 30
IO_MAX = 256
TEXT_CHARS_MAX = 300


def main(path: str) -> int:
    """Inspect ``path`` under limits; 0 also when the file is refused."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = inspect(path)
    except Exception as error:  # whatever the parser makes of garbage
        found = {"error": f"{type(error).__name__}: {error}"[:TEXT_CHARS_MAX]}
    sys.stdout.write(json.dumps(found))
    return 0


def inspect(path: str) -> dict[str, Any]:
    """Inputs, outputs and number of parameters. Raises ``ValueError`` and what onnx raises."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model)
    graph = model.graph
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise ValueError("its weights are in other files; save the model as one file")
    weights = {tensor.name for tensor in graph.initializer}
    return {
        "inputs": [_value(each) for each in graph.input if each.name not in weights],
        "outputs": [_value(each) for each in graph.output],
        "parameter_count": sum(_size(tensor.dims) for tensor in graph.initializer),
    }


def _value(value: Any) -> dict[str, Any]:
    import onnx

    if not value.type.HasField("tensor_type"):
        raise ValueError(f"{value.name[:50]!r} is not a tensor")
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "dtype": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(),
        "shape": [
            each.dim_value if each.HasField("dim_value") else (each.dim_param or None)
            for each in tensor.shape.dim
        ],
    }


def _size(dims: Any) -> int:
    size = 1
    for dim in dims:
        size *= max(0, int(dim))
    return min(size, 1 << 53)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
