"""The whole system in one loop on virtual time, with everything that can happen chosen by a seed."""
