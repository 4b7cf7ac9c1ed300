"""The HTTP faces: webhooks, raw; channels and the inbox, through FastAPI."""
