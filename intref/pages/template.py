"""Templates into pages: everything that is put in is escaped, and what no page should contain is made visible."""

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from intref.report.summary import printable

FOLDER = Path(__file__).parent / "templates"


def rendered(name: str, **values: Any) -> str:
    """A template's page. Its style and its script are inline; the page's own policy forbids every other one."""
    style, script = (FOLDER.joinpath(part).read_text("utf-8") for part in ("style.css", "sort.js"))
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(name)
        .render(**values, style=Markup(style), script=Markup(script), script_hash=digest)
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["count"] = _grouped
    return environment


def _visible(value: Any) -> Any:
    """Text without control characters, text direction marks and half surrogates; markup of our own as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _grouped(number: int) -> str:
    return f"{number:,}"
