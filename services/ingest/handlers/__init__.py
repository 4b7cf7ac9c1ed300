"""Use cases: store what comes, normalize what was stored, manage channels, look into the inbox."""
