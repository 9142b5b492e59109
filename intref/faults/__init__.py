"""Wrong devices on purpose: an op's own body with one rule changed, for explaining devices and for scoring vectors."""
