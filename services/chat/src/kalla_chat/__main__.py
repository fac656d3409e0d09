"""`python -m kalla_chat` runs the service."""

from kalla_chat.main import main

if __name__ == "__main__":
    main()
