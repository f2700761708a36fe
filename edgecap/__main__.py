"""`python -m edgecap` is `edgecap`."""

from .cli import main

if __name__ == "__main__":
    main()
