"""Devices under test behind adapters, each in a process of its own: py:, so:, pipe:, cmd:, file:.

Loaded when first used: the child process that hosts a device imports this package and needs none of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intref.devices.child import DeviceError
    from intref.devices.device import Device, Request, open_device
    from intref.devices.pipe import request_lines

_HOME = {
    "DeviceError": "intref.devices.child",
    **dict.fromkeys(("Device", "Request", "open_device"), "intref.devices.device"),
    "request_lines": "intref.devices.pipe",
}
__all__ = ["Device", "DeviceError", "Request", "open_device", "request_lines"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intref.devices' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
