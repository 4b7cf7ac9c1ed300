"""What the notifier remembers: turns and replies, the feed, endpoints and what was pushed to them."""
