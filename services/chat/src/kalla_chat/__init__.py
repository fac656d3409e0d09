"""The chat: a conversation in, a recipe that was run before it was proposed out."""
