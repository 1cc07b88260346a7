"""The instructions that each level emits, read from assembly for its own processor, whatever this one is."""

from __future__ import annotations

import re

import pytest
from llvmlite import binding, ir

from engine.simd import centroids, floating, integer, levels, linear, residuals, tiles
from engine.simd.build import F32, I8, I16, I32, I64
from engine.simd.levels import ARM, LEVELS

BYTES, HALVES, INTS, LONGS, FLOATS = (kind.as_pointer() for kind in (I8, I16, I32, I64, F32))
EMITTERS = {  # what every level with vectors emits: the function and the types of its arguments
    "products": (floating._products, [FLOATS, I64, I64, I64, FLOATS, I64, FLOATS, INTS]),
    "widen": (floating._widened, [HALVES, I64, I64, FLOATS]),
    "scan": (integer._scan, [BYTES, I64, I64, I64, I64, BYTES, I64, INTS, INTS]),
    "rows": (integer._rows_maximum, [BYTES, HALVES, I64, I64, BYTES]),
    "scores": (
        residuals._token_scores,
        [I64, I8, BYTES, I64, I64, BYTES, FLOATS, FLOATS, FLOATS, HALVES, FLOATS, FLOATS, FLOATS],
    ),
    "unpack": (residuals._spread, [BYTES, I64, I64, BYTES, I64, I64]),
    "table": (centroids._multiplied_all, [FLOATS, I64, I64, I64, FLOATS, FLOATS]),
    "chosen": (centroids._multiplied, [FLOATS, LONGS, I64, I64, I64, FLOATS, I64, FLOATS]),
    "sums": (centroids._whole, [BYTES, I64, I64, I64, BYTES, I64, I64, HALVES, HALVES]),
    "bytes": (centroids._bytes, [HALVES, I64, I64, I64, FLOATS, FLOATS, HALVES, BYTES, INTS, INTS]),
    "won": (residuals._won, [BYTES, HALVES, I64, I64, BYTES, I64, LONGS, I64]),
    "layer": (linear._multiplied, [BYTES, I64, I64, BYTES, FLOATS, I64, FLOATS, FLOATS, I64]),
}
EXPECTED = {  # instructions that must be there, and registers or instructions that must not
    ("avx512-vnni", "scan"): (r"vpdpbusd\s.*zmm", r"vpmaddubsw"),
    ("avx512-vnni", "scores"): (r"vpdpbusd\s.*zmm", r"vpmaddubsw"),
    ("avx512-vnni", "sums"): (r"vpdpbusd\s.*zmm", r"vpmaddubsw"),
    ("avx512-vnni", "layer"): (r"vpdpbusd\s.*zmm", r"vpmaddubsw"),
    ("avx512-vnni", "products"): (r"vfmadd\d+ps\s.*zmm", r"\bfmaf\b"),
    ("avx512-vnni", "table"): (r"vfmadd\d+ps\s.*zmm", r"\bfmaf\b"),
    ("avx512-vnni", "widen"): (r"vcvtph2ps\s.*zmm", r"__extendhfsf2|__gnu_h2f"),
    ("avx-vnni", "scan"): (r"vpdpbusd\s.*ymm", r"zmm|vpmaddubsw"),
    ("avx-vnni", "scores"): (r"vpdpbusd\s.*ymm", r"zmm|vpmaddubsw"),
    ("avx-vnni", "sums"): (r"vpdpbusd\s.*ymm", r"zmm|vpmaddubsw"),
    ("avx-vnni", "layer"): (r"vpdpbusd\s.*ymm", r"zmm|vpmaddubsw"),
    ("avx2", "scan"): (r"vpmaddubsw\s.*ymm", r"zmm|vpdpbusd"),
    ("avx2", "scores"): (r"vpmaddubsw\s.*ymm", r"zmm|vpdpbusd"),
    ("avx2", "sums"): (r"vpmaddubsw\s.*ymm", r"zmm|vpdpbusd"),
    ("avx2", "layer"): (r"vpmaddubsw\s.*ymm", r"zmm|vpdpbusd"),
    ("avx2", "products"): (r"vfmadd\d+ps\s.*ymm", r"zmm|\bfmaf\b"),
    ("avx2", "widen"): (r"vcvtph2ps\s.*ymm", r"zmm|__extendhfsf2"),
    ("neon", "products"): (r"fmla\s+v\d+\.4s", r"\bfmaf\b"),
    ("neon", "table"): (r"fmla\s+v\d+\.4s", r"\bfmaf\b"),
    ("neon", "widen"): (r"fcvtl2?\s+v\d+\.4s", r"__extendhfsf2"),
    ("neon", "scan"): (r"(u|s)?(mull?|mlal?)2?\s+v\d+\.8h|saddw2?\s+v\d+\.4s", r"\bsdiv\b"),
    ("neon", "scores"): (r"scvtf\s+v\d+\.4s", r"\bfmaf\b"),
    ("neon", "rows"): (r"umax\s+v\d+\.16b", r"\bsdiv\b"),
}


@pytest.fixture(scope="module", autouse=True)
def _targets() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


def assembly(level: levels.Level, emit, kinds: list) -> str:
    """What LLVM makes of an emitter for a processor that has just what the level needs."""
    triple = "aarch64-unknown-linux-gnu" if level.machines == ARM else "x86_64-unknown-linux-gnu"
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "emitted")
    b = ir.IRBuilder(function.append_basic_block())
    emit(level, b, *function.args)
    b.ret_void()
    features = ",".join(f"+{name}" for name in sorted(level.needs))
    machine = binding.Target.from_triple(triple).create_target_machine(features=features, opt=2)
    return machine.emit_assembly(binding.parse_assembly(str(module)))


def test_this_llvm_knows_both_processors() -> None:
    assert binding.Target.from_triple("aarch64-unknown-linux-gnu").name == "aarch64"
    assert binding.Target.from_triple("x86_64-unknown-linux-gnu").name == "x86-64"


@pytest.mark.parametrize("kernel", EMITTERS)
@pytest.mark.parametrize("level", [level for level in LEVELS if level.vectors], ids=lambda level: level.name)
def test_every_level_emits_its_own_instructions(level: levels.Level, kernel: str) -> None:
    written = assembly(level, *EMITTERS[kernel])
    wanted, unwanted = EXPECTED.get((level.name, kernel), (r"\bret", r"\bfmaf\b"))
    assert re.search(wanted, written)
    assert not re.search(unwanted, written)


def test_the_matrix_unit_is_emitted() -> None:
    def emit(level, b, row, other, width, panel, stride, steps):
        tiles._products(b, [row, other], width, panel, stride, steps, 2)

    written = assembly(levels.named("amx"), emit, [BYTES, BYTES, I64, BYTES, I64, I64])
    for instruction in ("tilezero", "tileloadd", "tdpbusd"):
        assert re.search(rf"{instruction}\s", written)
