"""What an agent can do, free of any wire format and of any model."""
