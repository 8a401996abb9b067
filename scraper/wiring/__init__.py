"""Adapters between the crawl and its stages; only the crawler uses them."""
