"""What has happened, as values: the event types, their envelope, and the catalogue that names owner, topic and key."""
