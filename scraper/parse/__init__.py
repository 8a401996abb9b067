"""What runs in the worker: bytes become a document, the document becomes items and requests.

    body ─► Source (encoding) ─► Parser ─► Document ─► Page ─► handler ─► Extraction

Only the parser that is asked for gets imported (`parsers.make_parser`).
"""
