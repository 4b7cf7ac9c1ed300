"""What the router keeps: rulesets by version, which one is active, and every decision."""
