"""The float graph of BERT-like encoders in NumPy: what a recipe observes and what its result is measured against.

Activations and weights are float32, as in the frameworks the checkpoints come from; means, variances and norms
accumulate in float64. Sites, in order: emb.sum, emb.norm; per layer L{i}.q .k .v .scores .context .attn.sum .attn.norm
.ffn.up .ffn.act .ffn.sum .ffn.norm; pooler.pre, pooler, logits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from intref import checkpoint
from intref.atomic import StrPath
from intref.checkpoint import BertConfig
from intref.errors import SpecError

if TYPE_CHECKING:
    from intref.model import Model

Floats = NDArray[np.float32]
Array = NDArray[Any]
# observe(site, value, mask): value [B, ...] float32, mask [B, T] int8, 1 = attended.
Observe = Callable[[str, Floats, NDArray[np.int8]], None]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class FloatModel:
    """A float encoder that runs. weights under our names (see `intref.checkpoint.encoder`), heads those it computes."""

    config: BertConfig
    weights: dict[str, Floats] = field(repr=False)
    heads: tuple[str, ...]
    normalize: bool = False
    family: str = "bert"
    path: Path | None = None

    def run(self, inputs: Mapping[str, Any], observe: Observe | None = None) -> dict[str, Floats]:
        """Run a batch; observe, if given, sees every site's value once, padding included.

        inputs: input_ids [B, T]; attention_mask [B, T] of 0 and 1, default all 1; token_type_ids [B, T], default
        all 0; any integer dtype. Padding may stand on either side and changes no attended token: positions are
        derived from the mask, masked keys get probability 0, and a row without attended tokens attends to nothing.
        Returns hidden_states.0 (the embeddings after their norm) .. hidden_states.{layers} and last_hidden_state
        [B, T, D]; with the heads, pooler_output [B, D], logits [B, C], sentence_embedding [B, D]. All float32.
        SpecError, one line, for inputs outside this contract.
        """
        ids, mask, types = check_inputs(self.config, inputs)
        see = _Watch(observe, mask)
        hidden = self._embed(ids, mask, types, see)
        outputs = {"hidden_states.0": hidden}
        for i in range(self.config.layers):
            hidden = self._layer(f"L{i}", hidden, mask, see)
            outputs[f"hidden_states.{i + 1}"] = hidden
        return {**outputs, "last_hidden_state": hidden, **self._head_outputs(hidden, mask, see)}

    def quantize(
        self,
        recipe: str | None = None,
        profile: str | None = None,
        calib: Iterable[Mapping[str, Any]] | None = None,
        seed: int = 0,
        progress: Callable[..., None] | None = None,
    ) -> "Model":
        """The integer model that a recipe makes of this one; see `intref.quantize.recipe`."""
        from intref.quantize.recipe import quantize

        return quantize(self, recipe=recipe, profile=profile, calib=calib, seed=seed, progress=progress)

    def _embed(self, ids: Array, mask: Array, types: Array, see: "_Watch") -> Floats:
        w = self.weights
        rows = w["emb.word"][ids] + w["emb.type"][types]  # [B, T, D]
        total = see("emb.sum", rows + w["emb.position"][positions(self.config, mask)])
        return see("emb.norm", self._norm("emb.norm", total))

    def _layer(self, site: str, x: Floats, mask: Array, see: "_Watch") -> Floats:
        q, k, v = (see(f"{site}.{name}", self._linear(f"{site}.{name}", x)) for name in "qkv")
        context = see(f"{site}.context", self._attention(site, q, k, v, mask, see))
        total = see(f"{site}.attn.sum", self._linear(f"{site}.attn.out", context) + x)
        x = see(f"{site}.attn.norm", self._norm(f"{site}.attn.norm", total))
        up = see(f"{site}.ffn.up", self._linear(f"{site}.ffn.up", x))
        act = see(f"{site}.ffn.act", gelu(up))
        total = see(f"{site}.ffn.sum", self._linear(f"{site}.ffn.down", act) + x)
        return see(f"{site}.ffn.norm", self._norm(f"{site}.ffn.norm", total))

    def _attention(self, site: str, q: Floats, k: Floats, v: Floats, mask: Array, see: "_Watch") -> Floats:
        """Context [B, T, D]. One sequence at a time; all scores [B, H, T, T] are kept only for an observer."""
        (batch, length, width), heads = q.shape, self.config.heads
        scale = np.float32(1 / np.sqrt(self.config.head_width))
        kept = np.empty((batch, heads, length, length), np.float32) if see.on else None
        context = np.empty_like(q)
        for b in range(batch):
            qh, kh, vh = (x[b].reshape(length, heads, -1).swapaxes(0, 1) for x in (q, k, v))  # [H, T, d]
            scores = (qh @ kh.swapaxes(1, 2)) * scale  # [H, T, T]
            if kept is not None:
                kept[b] = scores
            context[b] = (masked_softmax(scores, mask[b]) @ vh).swapaxes(0, 1).reshape(length, width)
        if kept is not None:
            see(f"{site}.scores", kept)
        return context

    def _head_outputs(self, hidden: Floats, mask: Array, see: "_Watch") -> dict[str, Floats]:
        outputs = {}
        if "pooler" in self.heads:
            pooled = see("pooler", np.tanh(see("pooler.pre", self._linear("pooler", hidden[:, 0]))))
            outputs["pooler_output"] = pooled
            if "classifier" in self.heads:
                outputs["logits"] = see("logits", self._linear("classifier", pooled))
        if "sentence" in self.heads:
            outputs["sentence_embedding"] = mean_of_attended(hidden, mask, self.normalize)
        return outputs

    def _linear(self, name: str, x: Floats) -> Floats:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        flat = x.reshape(-1, x.shape[-1]) @ weight.T + bias  # one GEMM for the batch
        return flat.reshape(*x.shape[:-1], -1)

    def _norm(self, name: str, x: Floats) -> Floats:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, weight, bias, self.config.norm_eps)


class _Watch:
    """Hands a value to the observer on its way through."""

    def __init__(self, observe: Observe | None, mask: NDArray[np.int8]) -> None:
        self.observe, self.mask, self.on = observe, mask, observe is not None

    def __call__(self, site: str, value: Floats) -> Floats:
        if self.observe is not None:
            self.observe(site, value, self.mask)
        return value


def load(path: StrPath, head: str | None = None) -> FloatModel:
    """The float model of a checkpoint directory; head as in `intref.checkpoint.read`."""
    read = checkpoint.read(path, head)
    return FloatModel(read.config, read.weights, read.heads, read.normalize, read.family, read.path)


def check_inputs(config: BertConfig, inputs: Mapping[str, Any]) -> tuple[Array, NDArray[np.int8], Array]:
    """(ids int64, mask int8, types int64), each [B, T], defaults filled in; SpecError for anything out of range."""
    if "input_ids" not in inputs:
        raise SpecError("model: input 'input_ids' must be there")
    for name in inputs:
        if name not in INPUTS:
            raise SpecError(f"model: input must be one of {', '.join(INPUTS)}, not {name!r}")
    ids = _integers("input_ids", inputs["input_ids"], config.vocab - 1)
    if ids.ndim != 2 or 0 in ids.shape:
        raise SpecError(f"model: input 'input_ids' must be [B, T] with B and T >= 1, not {list(ids.shape)}")
    if ids.shape[1] > config.max_tokens:
        raise SpecError(f"model: input 'input_ids' must have at most {config.max_tokens} tokens, not {ids.shape[1]}")
    mask = _integers("attention_mask", inputs.get("attention_mask", np.ones(ids.shape, np.int8)), 1)
    types = _integers("token_type_ids", inputs.get("token_type_ids", np.zeros_like(ids)), config.type_vocab - 1)
    for name, value in (("attention_mask", mask), ("token_type_ids", types)):
        if value.shape != ids.shape:
            raise SpecError(f"model: input {name!r} must be {list(ids.shape)} as input_ids, not {list(value.shape)}")
    return ids, mask.astype(np.int8), types


def _integers(name: str, given: Any, high: int) -> NDArray[np.int64]:
    try:
        value = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise SpecError(f"model: input {name!r} must be an array of integers, not {type(given).__name__}") from error
    if value.dtype.kind not in "iub":
        raise SpecError(f"model: input {name!r} must be of an integer dtype, not {value.dtype}")
    if value.size and not 0 <= int(value.min()) <= int(value.max()) <= high:
        raise SpecError(f"model: input {name!r} must be in 0..{high}, not {value.min()}..{value.max()}")
    return value.astype(np.int64)


def positions(config: BertConfig, mask: Array) -> NDArray[np.int64]:
    """Rows of the position table, [B, T], of a mask [B, T]; the two forms are defined in `BertConfig`."""
    attended = mask.astype(np.int64)
    if config.position_form == "count":
        counted: NDArray[np.int64] = attended.cumsum(1) * attended + config.position_offset
        return counted
    first = attended.argmax(1)[:, None]  # 0 when nothing is attended
    rows: NDArray[np.int64] = np.maximum(np.arange(mask.shape[1]) - first, 0) + config.position_offset
    return rows


def masked_softmax(scores: Floats, mask: Array) -> Floats:
    """Softmax over the attended keys of scores [..., T]: exactly 0 on the others, all 0 where mask [T] is."""
    attended = mask.astype(bool)
    if not attended.any():
        return np.zeros_like(scores)
    masked = np.where(attended, scores, np.float32(-np.inf))
    weights: Floats = np.exp(masked - masked.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return weights


def layer_norm(x: Floats, weight: Floats, bias: Floats, eps: float) -> Floats:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, statistics in float64."""
    centered = x - x.mean(-1, dtype=np.float64, keepdims=True)
    variance = np.square(centered).mean(-1, keepdims=True)
    normal: Floats = (centered / np.sqrt(variance + eps) * weight + bias).astype(np.float32)
    return normal


def gelu(x: Floats) -> Floats:
    """x * Phi(x) with the error function, not its tanh approximation."""
    half: Floats = np.float32(0.5) * x
    return half * (1 + np.asarray(erf(x * np.float32(np.sqrt(0.5))), np.float32))


def mean_of_attended(hidden: Floats, mask: Array, normalize: bool) -> Floats:
    """Mean of hidden [B, T, D] over the tokens of mask [B, T], then of length 1 if so wanted; 0 without tokens."""
    counts = np.maximum(mask.sum(1, dtype=np.int64), 1)[:, None]
    mean = np.einsum("btd,bt->bd", hidden, mask, dtype=np.float64) / counts
    if normalize:
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    result: Floats = mean.astype(np.float32)
    return result
