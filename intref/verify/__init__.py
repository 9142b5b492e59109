"""Devices under test, comparison, explanation and reports.

    report = judge("gold/", dut="so:./dev.so")     -> Report: .verdict .cases .exit_code .text() .json() .junit()

Loaded when first used: the child process that hosts a device imports this package and needs none of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intref.verify.comparison import Difference, compare
    from intref.verify.devices import Device, DeviceError, Request, open_device
    from intref.verify.explanation import explain
    from intref.verify.pipe import request_lines
    from intref.verify.report import Case, Report
    from intref.verify.verdict import judge, node_ids

_HOME = {
    **dict.fromkeys(("Difference", "compare"), "intref.verify.comparison"),
    **dict.fromkeys(("Device", "DeviceError", "Request", "open_device"), "intref.verify.devices"),
    "explain": "intref.verify.explanation",
    **dict.fromkeys(("judge", "node_ids"), "intref.verify.verdict"),
    "request_lines": "intref.verify.pipe",
    **dict.fromkeys(("Case", "Report"), "intref.verify.report"),
}
__all__ = ["Case", "Device", "DeviceError", "Difference", "Report", "Request"]
__all__ += ["compare", "explain", "judge", "node_ids", "open_device", "request_lines"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intref.verify' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
