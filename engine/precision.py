"""What a model computes in: decided by what it is and what its processor offers, never by a clock.

The figures behind the choices are in benchmarks/notes/encoding.md. In short, on CPUs:

- A matrix unit for bfloat16 (AMX) makes it four times as fast as float32 and nearer to it than 8 bits: every model.
- bfloat16 in vector registers alone (AVX512-BF16) is 1.5 times as fast as float32 on one processor and takes 1.6 times
  as long on another: it decides nothing.
- 8 bits in the linear layers are 1.4 to 2.2 times as fast as float32 on everything from AVX2 on. Quality was measured
  for the embedded model alone, so it alone takes them without being asked.
- Everything else computes in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sentence_transformers import MultiVectorEncoder

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
MATRIX_UNIT = "amx-bf16"
INT8_LEVELS = ("avx512-vnni", "avx-vnni", "avx2")  # of engine.simd, the levels that have kernels for linear layers
INT8_MODELS = ("embedded",)  # models whose quality in 8 bits was measured


def instructions(device: str) -> frozenset[str]:
    """What the processor of a device offers of that which decides the dtype.

    Args:
        device: A torch device that exists here.

    Returns:
        For a CPU the level of the kernels and "amx-bf16" where it has that unit; for CUDA "bfloat16" where the device
        computes in it.
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return frozenset({"bfloat16"} if torch.cuda.get_device_capability(device) >= (8, 0) else ())
    if kind != "cpu":
        return frozenset()
    from engine.simd.choice import chosen
    from engine.simd.features import host_features

    return (host_features() & {MATRIX_UNIT}) | {chosen().name}


def choose_dtype(model: str, device: str, available: Collection[str]) -> tuple[str, str]:
    """Decide what a model computes in; a pure function, so that one model on one machine has one answer.

    Args:
        model: The name that `Encoder.load` takes.
        device: A torch device, such as "cpu" or "cuda:1".
        available: From `instructions`.

    Returns:
        The dtype, and why it is the one.
    """
    kind = device.partition(":")[0]
    if kind == "cuda" and "bfloat16" in available:
        return "bfloat16", "the device computes in it"
    if kind == "cpu" and MATRIX_UNIT in available:
        return "bfloat16", "this processor has a matrix unit for it (AMX)"
    level = next((level for level in INT8_LEVELS if level in available), None)
    if kind == "cpu" and model in INT8_MODELS and level is not None:
        return "int8", f"this processor has {level} and no AMX, and the model keeps its quality in 8 bits"
    if kind == "cpu":
        return "float32", "nothing faster was measured to keep the quality of this model on this processor"
    return "float32", f"nothing else was measured on {kind} devices like this one"


def round_weights(model: MultiVectorEncoder, dtype: str) -> None:
    """Round the weights of a model, in place.

    Args:
        model: As it was loaded.
        dtype: "float32", "bfloat16" (on a CPU the linear layers, where torch can, the rest in float32), "float16" or
            "int8" (the linear layers, the rest in float32).

    Raises:
        InputError: int8 away from a CPU with AVX2 or AVX-512.
    """
    import torch

    if dtype == "int8":
        if model.device.type != "cpu":
            raise InputError(f"Expected int8 on a CPU, got device {model.device}: choose bfloat16 there.")
        from engine.quantised_layers import quantise_layers

        quantise_layers(model.float())
    elif dtype == "bfloat16" and model.device.type == "cpu":
        from engine.packed_layers import pack_layers

        if not pack_layers(model.float()):
            model.to(torch.bfloat16)
    else:
        model.to(getattr(torch, dtype))


def computed_in(model: MultiVectorEncoder) -> str:
    """What a model computes in, found in its layers.

    Args:
        model: Rounded or not.

    Returns:
        A name of DTYPES; on a CPU "bfloat16" and "int8" are the linear layers, the rest is float32.
    """
    from engine.packed_layers import PackedLinear
    from engine.quantised_layers import Int8Linear

    for module in model.modules():
        if isinstance(module, Int8Linear):
            return "int8"
        if isinstance(module, PackedLinear):
            return "bfloat16"
    return str(next(model.parameters()).dtype).removeprefix("torch.")
