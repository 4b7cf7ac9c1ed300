"""The routes of tickets, by noun."""
