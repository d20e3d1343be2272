"""`make bench`: every comparison, one after the other."""

from bench import sync, webhook


def main() -> None:
    """Print them all."""
    webhook.compare()
    sync.compare([])


if __name__ == "__main__":
    main()
