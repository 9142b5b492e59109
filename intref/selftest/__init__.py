"""Would a wrong device be found? The vectors scored by planted bugs, the verdict tried on devices that must fail."""

import json
from typing import Any

from intref.errors import FormatError
from intref.golden import suite_path
from intref.selftest.bench import Finding, check_devices
from intref.selftest.catalogue import Asked, asked_for
from intref.selftest.scoring import OpScore, Tally, named_faults, score, score_vocabulary

__all__ = ["SCORE", "Finding", "OpScore", "Tally", "check_devices", "named_faults", "published", "score"]
__all__ += ["Asked", "asked_for", "score_vocabulary"]
SCORE = "score.json"


def published() -> dict[str, Any]:
    """The committed scores of the suite's vectors: {"schema", "spec", "ops": {op: {"cases", "mutants", "faults"}}}.

    FormatError if the suite carries none.
    """
    path = suite_path() / SCORE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: expected the scores of the suite, found none: {error}") from None
    return found
