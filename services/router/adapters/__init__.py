"""What the router asks of the outside."""
