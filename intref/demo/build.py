"""The two devices of the demonstration, made from their source in a directory that stays: a template to start from."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from intref.atomic import write_atomically
from intref.errors import FormatError

HERE = Path(__file__).parent
C, PYTHON = "device.c", "device.py"
FLAGS: dict[str, tuple[str, ...]] = {"right": (), "wrong": ("-DROUND=HALF_AWAY",)}


@dataclass(frozen=True)
class Built:
    """How they were made, in words and as a command; source: of what; duts: right and wrong, as judge takes them."""

    how: str
    command: str
    source: Path
    duts: Mapping[str, str]


def check_folder(folder: Path) -> None:
    """FormatError if nothing can be built there, or would overwrite a source that somebody has made their own."""
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder}: expected a directory for the devices, found a file")
    for name in (C, PYTHON):
        path = folder / name
        if path.exists() and (not path.is_file() or path.read_bytes() != (HERE / name).read_bytes()):
            raise FormatError(f"{path}: expected the demonstration's own device, found another: it is not overwritten")


def build(folder: Path) -> Built:
    """Copy the source of the devices to the folder and compile it there; in Python where no C compiler works."""
    folder.mkdir(exist_ok=True)
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    commands = [_command(compiler, folder, name) for name in FLAGS] if compiler else []
    source = folder / (C if compiler else PYTHON)
    write_atomically(source, (HERE / source.name).read_bytes())
    if commands and all(subprocess.run(c, capture_output=True, check=False).returncode == 0 for c in commands):
        command = shlex.join([Path(commands[0][0]).name, *commands[0][1:]])
        return Built(f"compiled from {C}", command, source, {name: f"so:{folder / name}.so" for name in FLAGS})
    source = folder / PYTHON
    write_atomically(source, (HERE / PYTHON).read_bytes())
    duts = {name: f"py:{source}:{name}" for name in FLAGS}
    return Built("in Python, as no C compiler works here", "", source, duts)


def _command(compiler: str, folder: Path, name: str) -> list[str]:
    return [compiler, "-O2", "-shared", "-fPIC", *FLAGS[name], "-o", str(folder / f"{name}.so"), str(folder / C)]
