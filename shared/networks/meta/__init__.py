"""What Meta's networks share: how they call, how they wrap what happened, and the Graph API."""
