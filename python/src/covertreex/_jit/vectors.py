"""Loops over vectors whose sums stay in registers, in LLVM's own words: Numba's load and store them in each turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INDEX = ir.IntType(64)


class _Lanes:
    """Vectors of a scalar type in a function that is being built."""

    def __init__(self, builder: Any, scalar: Any, suffix: str, width: int) -> None:
        self.builder, self.width = builder, width
        self.type = ir.VectorType(scalar, width)
        signature = ir.FunctionType(self.type, [self.type] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.v{width}{suffix}")

    def sums(self, count: int) -> list[Any]:
        zero = ir.Constant(self.type, [0.0] * self.width)
        return [cgutils.alloca_once_value(self.builder, zero) for _ in range(count)]

    def _pointer(self, base: Any, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [at]), self.type.as_pointer())

    def load(self, base: Any, at: Any) -> Any:
        """The vector that begins at an element, aligned as an element is."""
        return self.builder.load(self._pointer(base, at), align=4)

    def store(self, vector: Any, base: Any, at: Any) -> None:
        self.builder.store(vector, self._pointer(base, at), align=4)

    def repeated(self, scalar: Any) -> Any:
        first = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.IntType(32)(0))
        return self.shuffled(first, [0] * self.width)

    def shuffled(self, vector: Any, lanes: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def add_product(self, total: Any, a: Any, b: Any) -> None:
        self.builder.store(self.builder.call(self._fma, [a, b, self.builder.load(total)]), total)


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def inner_product(_typing: Any, x: Any, i: Any, y: Any, j: Any) -> Any:
    """``x[i] . y[j]`` of float64 matrices without gaps whose rows have a multiple of 8 numbers, all of one length.

    It is summed in the order in which the library does.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(builder, ir.DoubleType(), "f64", 8)
        x, i, y, j = arguments
        columns = builder.extract_value(context.make_array(signature.args[0])(context, builder, x).shape, 1)
        rows = [
            builder.gep(_data(context, builder, kind, matrix), [builder.mul(row, columns)])
            for kind, matrix, row in ((signature.args[0], x, i), (signature.args[2], y, j))
        ]
        vectors = builder.udiv(columns, _INDEX(8))
        rounds = builder.udiv(vectors, _INDEX(4))
        sums = lanes.sums(4)

        def add(total: Any, vector: Any) -> None:
            at = builder.mul(vector, _INDEX(8))
            lanes.add_product(total, *(lanes.load(row, at) for row in rows))

        with cgutils.for_range(builder, rounds) as loop:
            first = builder.mul(loop.index, _INDEX(4))
            for r, total in enumerate(sums):
                add(total, builder.add(first, _INDEX(r)))
        whole = builder.mul(rounds, _INDEX(4))
        with cgutils.for_range(builder, builder.sub(vectors, whole)) as loop:
            add(sums[0], builder.add(whole, loop.index))
        s0, s1, s2, s3 = map(builder.load, sums)
        total = builder.fadd(builder.fadd(s0, s1), builder.fadd(s2, s3))
        for width in (4, 2, 1):
            low, high = lanes.shuffled(total, range(width)), lanes.shuffled(total, range(width, 2 * width))
            total = builder.fadd(low, high)
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float64(x, types.int64, y, types.int64), generate


@intrinsic
def combine_panel(_typing: Any, panel: Any, begin: Any, rank: Any, factors: Any, result: Any, at: Any) -> Any:
    """``result[at + lane] = sum over t of factors[t] * panel[begin + 32 t + lane]`` for 32 lanes, all float32.

    ``rank`` is even. Nothing may depend on the order of sums.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, begin, rank, _, _, at = arguments
        columns, scalars, target = (_data(context, builder, signature.args[i], arguments[i]) for i in (0, 3, 4))
        lanes = _Lanes(builder, ir.FloatType(), "f32", 16)
        sums = lanes.sums(4)
        with cgutils.for_range(builder, builder.udiv(rank, _INDEX(2))) as loop:
            for odd in range(2):
                t = builder.add(builder.mul(loop.index, _INDEX(2)), _INDEX(odd))
                factor = lanes.repeated(builder.load(builder.gep(scalars, [t])))
                column = builder.add(begin, builder.mul(t, _INDEX(32)))
                for half in range(2):
                    vector = lanes.load(columns, builder.add(column, _INDEX(16 * half)))
                    lanes.add_product(sums[2 * odd + half], factor, vector)
        for half in range(2):
            total = builder.fadd(builder.load(sums[half]), builder.load(sums[2 + half]))
            lanes.store(total, target, builder.add(at, _INDEX(16 * half)))
        return context.get_dummy_value()

    return types.none(panel, types.int64, types.int64, factors, result, types.int64), generate
