"""The `baton` command: each command imports only what it runs."""
