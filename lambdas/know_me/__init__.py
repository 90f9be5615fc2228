"""What the steps of the runbooks share. Handlers import from here; nothing here imports a handler."""
