"""The four services; they meet only in the event log and never import each other."""
