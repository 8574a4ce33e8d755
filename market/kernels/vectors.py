"""Eight lanes at a time, said in vectors: LLVM unrolls loops this short into single numbers."""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

SINGLE = ir.FloatType()
EIGHT = ir.VectorType(SINGLE, 8)
UNALIGNED = 4  # bytes: of a single


class _Eights:
    """Loads and stores of eight numbers in contiguous arrays in single precision."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def at(self, kind: Any, array: Any, first: Any) -> Any:
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        place = self.builder.gep(data, [first], source_etype=SINGLE)
        return self.builder.bitcast(place, EIGHT.as_pointer())

    def load(self, kind: Any, array: Any, first: Any) -> Any:
        place = self.at(kind, array, first)
        return self.builder.load(place, align=UNALIGNED, typ=EIGHT)

    def store(self, value: Any, kind: Any, array: Any, first: Any) -> None:
        self.builder.store(value, self.at(kind, array, first), align=UNALIGNED)

    def most(self, one: Any, other: Any) -> Any:
        above = self.builder.fcmp_ordered(">", one, other, flags=["fast"])
        return self.builder.select(above, one, other)

    def least(self, one: Any, other: Any) -> Any:
        below = self.builder.fcmp_ordered("<", one, other, flags=["fast"])
        return self.builder.select(below, one, other)


def _places(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _peaks_of(
    typing_context: Any, values: Any, rows: Any, peak: Any, first: Any, extreme: Any, least: Any
) -> tuple[Any, Any]:
    """``peak[first : first + 8]`` become the maxima of ``values[: 8 * rows]`` by place modulo 8.

    ``extreme[:8]`` become the highest of the peaks seen so far, ``extreme[8:16]`` the lowest of
    those above ``least``. All arrays are single precision and contiguous; ``rows`` is a constant.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        eights, kinds = _Eights(context, builder), signature.args
        highest = eights.load(kinds[0], arguments[0], _places(0))
        for row in range(1, kinds[1].literal_value):
            found = eights.load(kinds[0], arguments[0], _places(8 * row))
            highest = eights.most(found, highest)
        eights.store(highest, kinds[2], arguments[2], arguments[3])
        top, bottom = (eights.load(kinds[4], arguments[4], _places(k)) for k in (0, 8))
        eights.store(eights.most(highest, top), kinds[4], arguments[4], _places(0))
        floor = ir.Constant(EIGHT, ir.Undefined)
        for k in range(8):
            floor = builder.insert_element(floor, arguments[5], ir.Constant(ir.IntType(32), k))
        alive = builder.fcmp_ordered(">", highest, floor, flags=["fast"])
        lowest = builder.select(alive, eights.least(highest, bottom), bottom)
        eights.store(lowest, kinds[4], arguments[4], _places(8))
        return context.get_dummy_value()

    return types.void(values, rows, peak, types.int64, extreme, types.float32), emit


peaks_of = cast(Callable[..., None], intrinsic(prefer_literal=True)(_peaks_of))
