"""Tests; a package, so that no other folder called tests on the path can take its name."""
