"""The smallest call on which a device still fails as it did, written as a golden package that replays it."""
