"""`python -m geoflow`, and what `accelerate launch -m geoflow` runs."""

from geoflow.cli import main

if __name__ == "__main__":
    main()
