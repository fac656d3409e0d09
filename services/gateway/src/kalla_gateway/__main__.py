"""`python -m kalla_gateway`."""

from kalla_gateway.main import main

if __name__ == "__main__":
    main()
