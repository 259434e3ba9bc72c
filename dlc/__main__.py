"""`python -m dlc` is `dlc`."""

from dlc.cli.main import main

if __name__ == "__main__":
    main()
