"""What a delivery is and what it becomes; pure."""
