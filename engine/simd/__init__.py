"""Vector kernels without a compiler on the machine: numba emits them for the processor that it finds.

`engine.simd.kernels` chooses the level and holds the kernels; `engine.simd.jit.kernel` compiles functions around them;
`engine.simd.threads` spreads parts over threads.
"""
