"""What the notifier does: with events of tickets, with replies that are due, with endpoints, with live clients."""
