"""Which instructions the products use: the best that this process may run, or the one that INTREF_ISA names.

amx: 16 x 64 tiles of bytes (tdpbssd). vnni: sums of four byte products in 512 bits (vpdpbusd). avx2: sums of two int16
products in 256 bits (vpmaddwd). portable: what LLVM makes of plain loops, on any CPU. Each gives the same bits.

The choice is made before anything is compiled, from what numba compiles for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES
change that): an instruction that the CPU lacks would end the process.
"""

# numba is typed in part.
# mypy: allow-untyped-calls

import ctypes
import os
import platform
import sys

from numba.core.registry import cpu_target

NEEDS = {
    "amx": ("amx-tile", "amx-int8", "avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    "vnni": ("avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    "avx2": ("avx2",),
    "portable": (),
}
ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18  # linux/arch/x86/include/uapi/asm/prctl.h


def features() -> frozenset[str]:
    """What numba may use of the CPU, in LLVM's names."""
    triple, _, text = cpu_target.target_context.codegen().magic_tuple()
    if not str(triple).startswith(("x86_64", "amd64")):
        return frozenset()
    return frozenset(part[1:] for part in str(text).split(",") if part.startswith("+"))


def tiles_granted() -> bool:
    """Linux gives tile registers to a process that asks for them."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0


def available() -> tuple[str, ...]:
    """The choices that this process has, the fastest first."""
    have = features()
    names = [name for name, needs in NEEDS.items() if have.issuperset(needs)]
    return tuple(name for name in names if name != "amx" or tiles_granted())


def chosen() -> str:
    """INTREF_ISA, or the fastest; ValueError names what this process has."""
    names, asked = available(), os.environ.get("INTREF_ISA", "")
    if asked and asked not in names:
        raise ValueError(f"INTREF_ISA must be one of {', '.join(names)} on this CPU, not {asked!r}")
    return asked or names[0]


ISA = chosen()
