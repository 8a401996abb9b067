"""From bytes to text, piece by piece."""

from __future__ import annotations

import codecs

import webencodings

from scraper.parse.encoding import sniff

# How far a byte order mark or an XML declaration is looked for.
_HEAD_BYTES = 1_024

# UTF-16 without the mark that it must have, as XML 1.0 (appendix F) tells it.
_UNMARKED = ((b"<\0", "utf-16le"), (b"\0<", "utf-16be"))


class TextDecoder:
    """Text in the encoding that the file names, else UTF-8. What is invalid becomes U+FFFD.

    So the XML parser sees valid UTF-8 only: of itself it knows four encodings, and ends at the first wrong byte.
    """

    def __init__(self) -> None:
        self._head = b""
        self._decoder: codecs.IncrementalDecoder | None = None

    def decode(self, data: bytes, *, is_last: bool = False) -> str:
        """What text the data adds; nothing until enough came to tell the encoding."""
        if self._decoder is None:
            data = self._head = self._head + data
            if len(data) < _HEAD_BYTES and not is_last:
                return ""
            self._decoder, self._head = _decoder(data[:_HEAD_BYTES]), b""
        return self._decoder.decode(data, is_last)


def _decoder(head: bytes) -> codecs.IncrementalDecoder:
    encoding = next((name for mark, name in _UNMARKED if head.startswith(mark)), "") or sniff(head, "text/xml")
    decoder: codecs.IncrementalDecoder = webencodings.lookup(encoding).codec_info.incrementaldecoder("replace")
    return decoder
