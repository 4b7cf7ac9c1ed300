"""The outside, as the notifier speaks to it: networks, endpoints, and live clients."""
