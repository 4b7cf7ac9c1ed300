"""Reference data that every service reads: workspaces, agents, teams, keys, channels."""
