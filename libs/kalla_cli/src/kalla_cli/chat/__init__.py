"""`kalla chat`: the conversation in a terminal, over REST as any client."""
