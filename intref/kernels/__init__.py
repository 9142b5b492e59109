"""Fast twins of intref.ops: same names, same arguments, same bits, on any number of threads. Never normative.

A kernel trusts its caller: intref.run has checked the call. Where the reference refuses a result (BoundError), a kernel
raises OverflowError with the same text.
"""

from intref.kernels import activation, embedding, gemm, layout, norm, rescale, residual, softmax, token
from intref.kernels.threads import get_threads, set_threads

KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        embedding.embedding,
        embedding.positions,
        embedding.mean_pool,
        layout.split_heads,
        layout.merge_heads,
        layout.transpose,
        layout.select_token,
        gemm.linear,
        gemm.matmul,
        gemm.linear_int4,
        rescale.rescale,
        rescale.rescale_quotient,
        residual.add,
        residual.add_bias,
        residual.clamp,
        token.quantize_token,
        token.rescale_token,
        token.rescale_token_residual,
        softmax.softmax_ibert,
        softmax.softmax_exp2,
        norm.layernorm_ibert,
        norm.layernorm_fixed,
        norm.l2_normalize,
        activation.gelu_ibert,
        activation.gelu_table,
        activation.table,
    )
}

__all__ = ["KERNELS", "get_threads", "set_threads"]
