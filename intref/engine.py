"""What the fast backend keeps of a model from run to run: constants as kernels want them, and memory for results."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from intref.kernels import PREPARE, Buffers, reusing
from intref.model import Model


class Engine:
    """Of one model. Runs at the same time, on several Python threads, each take memory of their own."""

    def __init__(self, model: Model) -> None:
        self.arguments = [self._prepared(model, node.op, node.inputs) for node in model.nodes]
        self._idle: list[Buffers] = []

    @staticmethod
    def _prepared(model: Model, op: str, inputs: dict[str, str]) -> dict[str, Any]:
        """What a node's kernel takes in place of its constants."""
        if op not in PREPARE:
            return {}
        return dict(PREPARE[op]({port: model.constants[t] for port, t in inputs.items() if t in model.constants}))

    @contextmanager
    def memory(self) -> Iterator[None]:
        """Results of kernels lie in buffers that an earlier run has left."""
        buffers = self._idle.pop() if self._idle else Buffers()
        try:
            with reusing(buffers):
                yield
        finally:
            self._idle.append(buffers)
