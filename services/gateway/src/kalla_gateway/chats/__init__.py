"""Chats: the conversation of the chat service, over REST."""
