"""`make bench`: every comparison, one after the other."""

from bench import webhook

if __name__ == "__main__":
    webhook.compare()
