"""The op table: every op a model may contain. Adding an op adds one line here."""

from intref.ops import activation, embedding, gemm, layout, norm, rescale, softmax, token
from intref.ops.op import Op

__all__ = ["OPS", "Op"]

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        embedding.EMBEDDING,
        embedding.POSITIONS,
        embedding.MEAN_POOL,
        layout.SPLIT_HEADS,
        layout.MERGE_HEADS,
        layout.TRANSPOSE,
        layout.SELECT_TOKEN,
        gemm.LINEAR,
        gemm.MATMUL,
        gemm.LINEAR_INT4,
        rescale.RESCALE,
        rescale.RESCALE_QUOTIENT,
        rescale.ADD,
        rescale.ADD_BIAS,
        rescale.CLAMP,
        token.QUANTIZE_TOKEN,
        token.RESCALE_TOKEN,
        token.RESCALE_TOKEN_RESIDUAL,
        softmax.SOFTMAX_IBERT,
        softmax.SOFTMAX_EXP2,
        norm.LAYERNORM_IBERT,
        norm.LAYERNORM_FIXED,
        norm.L2_NORMALIZE,
        activation.GELU_IBERT,
        activation.GELU_TABLE,
        activation.TABLE,
    )
}
