"""One conversation on every network, then a seeded, realistic day on one, played into a running system and audited."""
