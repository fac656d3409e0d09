"""Plain requests, read by rules: what is asked for, never what it might have meant.

    "match invoices to payments on reference and amount within 2 cents, only USD"

Whatever is not understood stays out of the reading, and the guided agent asks.
"""
