"""What a node may say of itself: the domains of its operator, and the attributes that its function reads.

Nothing that a node carries is passed over: an attribute that changes no bit here is one at its default.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from intref.errors import Unsupported
from intref.importing.graph import Call
from intref.tensorfile import shown

STANDARD = ("", "ai.onnx")
MICROSOFT = ("com.microsoft",)


class Signature:
    """attrs: names that are read, and name=integer where that value alone is understood."""

    def __init__(self, attrs: str, domains: tuple[str, ...]):
        fixed = [word.split("=") for word in attrs.split() if "=" in word]
        self.read = {word for word in attrs.split() if "=" not in word}
        self.only: Mapping[str, int] = {name: int(value) for name, value in fixed}
        self.domains = domains

    def check(self, call: Call, opset: int) -> None:
        """Unsupported, one line, for another domain or an attribute that would be passed over."""
        if call.domain not in self.domains:
            known = " or ".join(shown(domain) if domain else "none" for domain in self.domains)
            what = f"op {shown(call.op)} of domain {shown(call.domain)}"
            raise Unsupported(f"{call.at}: {what} is not supported; it is of {known}")
        for name, value in call.attrs.items():
            if name not in self.read:
                self._unread(call, opset, name, value)

    def _unread(self, call: Call, opset: int, name: str, value: Any) -> None:
        usual = self.only[name] if name in self.only else default(call, name, opset)
        if usual is None:
            raise Unsupported(f"{call.at}: attribute {shown(name)} is not supported")
        if not np.array_equal(np.asarray(value).ravel(), np.asarray(usual).ravel()):
            raise Unsupported(f"{call.at}: attribute {shown(name)}: expected {usual!r}, found {_brief(value)}")


def default(call: Call, name: str, opset: int) -> Any:
    """What ONNX takes an attribute of a standard operator for where it is not given; None: nothing."""
    if call.domain not in STANDARD:
        return None
    try:
        attribute = onnx.defs.get_schema(call.op, opset, "").attributes.get(name)
    except onnx.defs.SchemaError:  # an operator of Deeploy's, or one that this opset has not yet
        return None
    if attribute is None or attribute.default_value.type == onnx.AttributeProto.UNDEFINED:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


def _brief(value: Any) -> str:
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= 60 and text.isprintable() else shown(text[:60])
