"""Devices under test, comparison, explanation and reports.

    report = judge("gold/", dut="so:./dev.so")     -> Report: .verdict .cases .exit_code .text() .json() .junit()

Loaded when first used: the child process that hosts a device imports this package and needs none of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intref.verify.compare import Difference, compare
    from intref.verify.devices import Device, DeviceError, Request, open_device
    from intref.verify.explain import explain
    from intref.verify.judge import judge, node_ids
    from intref.verify.pipe import request_lines
    from intref.verify.report import Case, Report

_HOME = {
    **dict.fromkeys(("Difference", "compare"), "intref.verify.compare"),
    **dict.fromkeys(("Device", "DeviceError", "Request", "open_device"), "intref.verify.devices"),
    "explain": "intref.verify.explain",
    **dict.fromkeys(("judge", "node_ids"), "intref.verify.judge"),
    "request_lines": "intref.verify.pipe",
    **dict.fromkeys(("Case", "Report"), "intref.verify.report"),
}
__all__ = ["Case", "Device", "DeviceError", "Difference", "Report", "Request"]
__all__ += ["compare", "explain", "judge", "node_ids", "open_device", "request_lines"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intref.verify' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # or the modules judge, explain and compare would hide the functions of their names
    return value
