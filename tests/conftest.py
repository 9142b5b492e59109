"""Tests leave nothing behind in the checkout, and draw the same examples each time; what many of them start from."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import settings

sys.dont_write_bytecode = True
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")


@pytest.fixture
def call(capsys):
    """call(*words) -> exit code, standard output and standard error of one command line."""

    from intref.cli.main import main  # not above: bytecode is to be off before the first import

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture(scope="module")
def rescale(tmp_path_factory):
    """A golden package of three cases of rescale."""
    from verify_packages import write_rescale

    return write_rescale(tmp_path_factory.mktemp("golden") / "rescale")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The golden package of a tiny model."""
    from verify_packages import write_tiny

    return write_tiny(tmp_path_factory.mktemp("golden") / "tiny")
