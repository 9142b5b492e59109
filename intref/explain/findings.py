"""What explains a device on some of its calls, in words."""

from dataclasses import dataclass

NAMED_RULES = 4  # of those that reproduce a device, the simplest
UNKNOWN = "no known rule"


@dataclass(frozen=True)
class Where:
    """The calls that have one of some values of an attribute or dtype; of all that it takes here. No key: all calls."""

    key: str = ""
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As ` where KEY is A or B`, or by what is left out where that is shorter."""
        others = [value for value in self.known if value not in self.values]
        if not self.key:
            return ""
        if 0 < len(others) < len(self.values) - 2:
            return f" where {self.key} is not {' or '.join(others)}"
        return f" where {self.key} is {' or '.join(self.values)}" if others else ""

    def holds(self, key: str, value: str) -> bool:
        """Whether these are calls with this value, as far as is known."""
        return self.key != key or value in self.values


EVERYWHERE = Where()


@dataclass(frozen=True)
class Finding:
    """Rules that explain a device on some calls, likeliest first. also: less likely. undecided: calls there that no
    rule is defined for, and that are right."""

    where: Where
    rules: tuple[str, ...]
    also: tuple[str, ...] = ()
    undecided: int = 0

    @property
    def words(self) -> str:
        return " or ".join(self.rules[:NAMED_RULES]) + self.where.text
