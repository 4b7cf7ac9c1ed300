"""What tickets keeps: functions that take a transaction first and give domain values."""
