"""What operators see: log lines, metrics, and the trace that ties one customer's message together."""
