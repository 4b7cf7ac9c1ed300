"""What the router does: decides about messages, keeps rulesets, and tries them before they touch anybody."""
