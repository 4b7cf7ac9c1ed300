"""The networks of the demo, one module each: on loopback, behind the real adapters, in the real formats."""
