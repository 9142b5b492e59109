"""What a device is, found out by asking it: the queries that best split what it may be, and a profile of the answer.

found = identify("so:./chip.so")      -> Identified: .ops .lines; write_chip(found, "chip.toml")
"""

from intref.identify.agreement import agreeing
from intref.identify.chip import base_profile, chip_text, write_chip
from intref.identify.device import Identified, identify
from intref.identify.findings import OpIdentified

__all__ = ["Identified", "OpIdentified", "agreeing", "base_profile", "chip_text", "identify", "write_chip"]
