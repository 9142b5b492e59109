"""The machine and the software that a verdict was found on, for its receipt."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
# Instruction sets that integer kernels are compiled for, as Linux calls them.
FEATURES = set(
    """
    ssse3 sse4_1 sse4_2 avx avx2 avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_vbmi amx_tile amx_int8 gfni
    asimd asimddp i8mm sve sve2 sme rvv
    """.split()
)


@cache
def machine() -> dict[str, Any]:
    """python, numpy, numba (None if absent), os, cpu (its model in words) and features (instruction sets, sorted)."""
    rows = _cpu_rows()
    model = rows.get("model name") or rows.get("Model") or rows.get("uarch") or platform.processor()
    flags = (rows.get("flags") or rows.get("Features") or "").split()
    return {
        "python": platform.python_version(),
        "numpy": package_version("numpy"),
        "numba": package_version("numba"),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": f"{platform.machine()} {model}".strip(),
        "features": sorted(FEATURES.intersection(flags)),
    }


def package_version(package: str) -> str | None:
    """The version of an installed package, None if it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_rows() -> dict[str, str]:
    """The first processor's rows of /proc/cpuinfo; empty where there is no such file."""
    try:
        text = CPUINFO.read_text("utf-8", "replace")
    except OSError:
        return {}
    rows: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            rows.setdefault(name.strip(), value.strip())
    return rows
