"""What the system costs, measured against the bare limit and the usual way in the same run; see `bench`."""
