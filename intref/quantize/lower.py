"""Lowering: a float model, its calibrated ranges, a recipe and a profile become an integer model. The last float."""

from dataclasses import replace
from typing import Any

import numpy as np

from intref.builder import Builder
from intref.model import Model
from intref.profiles import Profile
from intref.profiles.keys import PLAIN_AT
from intref.quantize.graph import FloatModel
from intref.quantize.observe import Progress, Ranges
from intref.quantize.recipe import Recipe
from intref.quantize.sites import SPREAD, Lowering, Step, Value, from_zero, rescaled

MAX_BATCH = 1 << 12


def lower(
    model: FloatModel, ranges: Ranges, recipe: Recipe, profile: Profile, about: dict[str, Any], progress: Progress
) -> Model:
    """The integer model of a post-norm encoder; BoundError names the first node that is not proved."""
    return lower_in_steps(model, ranges, recipe, profile, about, progress)[0]


def lower_in_steps(
    model: FloatModel, ranges: Ranges, recipe: Recipe, profile: Profile, about: dict[str, Any], progress: Progress
) -> tuple[Model, list[Step]]:
    """`lower`, and how it went: the lowering of every site, in order."""
    config = model.config
    build = Builder({"B": MAX_BATCH, "T": min(config.max_tokens, 512)})
    graph = _Graph(model, Lowering(build, ranges, recipe, profile, config.heads, config.width * config.norm_eps))
    x = graph.embed()
    for i in range(config.layers):
        x = graph.layer(f"L{i}", x)
        progress("lower", i + 1, config.layers)
    graph.finish(x)
    told = {"profile": profile.name, "recipe": recipe.name, "family": model.family}
    labels = [config.labels[i] for i in sorted(config.labels)] if "classifier" in model.heads else []
    return build.model({**about, **told, "labels": labels}), graph.low.steps


class _Graph:
    """The walk over the sites of a post-norm encoder."""

    def __init__(self, model: FloatModel, low: Lowering):
        self.model, self.low, self.build = model, low, low.build
        self.config, self.weights = model.config, model.weights
        self.ids = self.build.input("input_ids", "int32", 0, self.config.vocab - 1, None)
        self.mask = self.build.input("attention_mask", "int8", 0, 1, 1)
        self.types = self.build.input("token_type_ids", "int32", 0, self.config.type_vocab - 1, 0)

    def embed(self) -> Value:
        config = self.config
        start = config.position_offset + (config.position_form == "count")
        attrs = {"form": config.position_form, "start": start}
        positions = self.build.node("positions", "emb.positions", {"mask": self.mask}, attrs, positions=("B", "T"))
        tables = {"word": self.ids, "type": self.types, "position": positions["positions"]}
        peak = max(float(np.abs(self.weights[f"emb.{name}"]).max()) for name in tables)
        word, kind, place = (
            self.low("embedding", ids, self.weights[f"emb.{name}"], f"emb.{name}", peak=peak)
            for name, ids in tables.items()
        )
        typed = self.low("embedding_sum", word, kind, "emb.typed")
        return self._norm(self.low("embedding_sum", typed, place, "emb.sum"), "emb.norm")

    def _norm(self, x: Value, site: str) -> Value:
        weight, bias = self.weights[f"{site}.weight"], self.weights[f"{site}.bias"]
        return self.low("norm", x, site, weight, bias, self.config.norm_eps)

    def _linear(self, x: Value, name: str, floor: float = 0.0) -> Value:
        return self.low("linear", x, name, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], floor=floor)

    def _stream(self, x: Value, site: str) -> Value:
        """A norm's output as the residual stream carries it: fixed point as it is, raw sums rescaled."""
        return self.low.step("stream", site, (x,), lambda: self._streamed(x, site))

    def _streamed(self, x: Value, site: str) -> Value:
        low, bits = self.low, self.low.recipe.residual_bits
        if x.offset is None:
            return x
        if bits == low.recipe.activation_bits:
            return from_zero(low, low("linear_input", x, site), f"{site}.stream")
        return rescaled(low, x, f"{site}.stream", low.wide_scale(site, bits), bits, low.site("linear_input"))

    def _narrowed(self, kind: str, x: Value, site: str) -> Value:
        """An accumulator as the profile wants it there: requantized, or as it is."""
        return self.low(kind, x, site) if self.low.site(kind) else x

    def layer(self, site: str, x: Value) -> Value:
        low, before = self.low, "emb.norm" if site == "L0" else f"L{int(site[1:]) - 1}.ffn.norm"
        src = low("linear_input", x, before)
        stream = self._stream(x, before)
        q, k, v = (low("attention_input", self._linear(src, f"{site}.{n}"), f"{site}.{n}") for n in "qkv")
        scored = low("scores", q, k, f"{site}.scores", self.config.head_width)
        scored = self._narrowed("softmax_input", scored, f"{site}.scores")
        p = low("softmax", *self._masked(scored, f"{site}.softmax"), f"{site}.softmax")
        context = low("context", p, v, f"{site}.context")
        acc = self._linear(low("linear_input", context, f"{site}.context"), f"{site}.attn.out")
        y = self._norm(low("residual", acc, stream, f"{site}.attn.sum"), f"{site}.attn.norm")
        src = low("linear_input", y, f"{site}.attn.norm")
        stream = self._stream(y, f"{site}.attn.norm")
        up = self._linear(src, f"{site}.ffn.up", floor=2.0**-SPREAD)
        act = low("activation", self._narrowed("activation_input", up, f"{site}.ffn.up"), f"{site}.ffn.act")
        acc = self._linear(low("linear_input", act, f"{site}.ffn.act"), f"{site}.ffn.down")
        return self._norm(low("residual", acc, stream, f"{site}.ffn.sum"), f"{site}.ffn.norm")

    def _masked(self, scored: Value, site: str) -> tuple[Value, str]:
        """Scores and mask of a softmax; a dialect that adds a constant to masked keys then attends to all of them."""
        at = self.low.site("softmax")
        if at.get("mask", "exclude") == "exclude":
            return scored, self.mask
        axes, attrs = self.build.axes(scored.tensor), {"value": at.get("mask_value", PLAIN_AT["softmax"]["mask_value"])}
        made = self.build.node("mask_add", f"{site}.masked", {"x": scored.tensor, "mask": self.mask}, attrs, y=axes)
        ones = self.build.node("clamp", f"{site}.all", {"x": self.mask}, {"low": 1, "high": 1}, y=("B", "T"))
        return replace(scored, tensor=made["y"]), ones["y"]

    def finish(self, x: Value) -> None:
        """The outputs of the model's heads."""
        last, outputs = f"L{self.config.layers - 1}.ffn.norm", self.build.outputs
        hidden = self._stream(x, last)
        outputs["last_hidden_state"] = hidden.tensor
        if "sentence" in self.model.heads:
            outputs["sentence_embedding"] = self._sentence(hidden).tensor
        if "pooler" in self.model.heads:
            pooled = self._pooler(x if x.offset is None else self.low("linear_input", x, last), last)
            outputs["pooler_output"] = pooled.tensor
            if "classifier" in self.model.heads:
                acc = self._linear(self.low("linear_input", pooled, "pooler"), "classifier")
                outputs["logits"] = self.low("logits", acc, "logits").tensor

    def _sentence(self, hidden: Value) -> Value:
        if not self.model.normalize:
            return self.low("pooling", hidden, self.mask, "sentence_embedding")
        mean = self.low("pooling", hidden, self.mask, "sentence_embedding.mean")
        return self.low("unit_length", mean, "sentence_embedding")

    def _pooler(self, x: Value, last: str) -> Value:
        axes = ("B", self.config.width)
        self.low.ranges.sites["pooler.token"] = self.low.ranges.sites[last]  # one token of it
        first = self.build.node("select_token", "pooler.token", {"x": x.tensor}, {"index": 0}, y=axes)["y"]
        src = self.low("linear_input", Value(first, x.scale), "pooler.token")
        return self.low("pooler", self._linear(src, "pooler"), "pooler")
