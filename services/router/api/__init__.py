"""The router's routes: rulesets and decisions, and trials of a ruleset."""
