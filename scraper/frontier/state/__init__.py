"""The state file: a crawl as it is known to a disk, in blocking calls."""
