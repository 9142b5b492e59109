"""Directed cases of ops/fqvit.py."""

from intref.vectors.case import Broken, Generator

CASES: dict[str, Generator] = {}
REFUSED: dict[str, dict[str, list[Broken]]] = {}
EQUIVALENT: dict[str, dict[str, str]] = {}
HARMLESS: dict[str, dict[str, str]] = {}
UNREACHABLE: dict[str, dict[str, str]] = {}
