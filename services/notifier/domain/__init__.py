"""What the notifier decides, pure: whose turn it is, who is told, when to try again."""
