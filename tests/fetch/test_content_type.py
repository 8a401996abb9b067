"""Which answers are worth reading."""

import pytest

from scraper.fetch.content_type import essence, is_wanted, looks_like_markup


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text/html", "text/html"),
        ("Text/HTML; charset=UTF-8", "text/html"),
        (" application/xhtml+xml ;q=1", "application/xhtml+xml"),
        ("", ""),
        ("html", ""),
        ("; charset=utf-8", ""),
    ],
)
def test_the_essence_is_type_and_subtype(header: str, expected: str) -> None:
    assert essence(header) == expected


@pytest.mark.parametrize(
    "media_type", ["text/html", "application/xhtml+xml", "text/xml", "application/xml", "application/rss+xml"]
)
def test_html_and_xml_are_wanted_by_every_request(media_type: str) -> None:
    assert is_wanted(media_type, ())


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "image/png", "application/pdf", "text/htm"])
def test_nothing_else_is(media_type: str) -> None:
    assert not is_wanted(media_type, ())


@pytest.mark.parametrize(
    ("accept", "media_type", "expected"),
    [
        (("application/json",), "application/json", True),
        (("application/json",), "application/jsonp", False),
        (("image/*",), "image/png", True),
        (("image/*",), "imagex/png", False),
        (("Image/PNG",), "image/png", True),
        (("*/*",), "application/octet-stream", True),
        (("text/csv", "image/*"), "image/gif", True),
        (("application/json",), "text/html", True),
    ],
)
def test_a_request_widens_what_is_wanted(accept: tuple[str, ...], media_type: str, expected: bool) -> None:
    assert is_wanted(media_type, accept) is expected


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html>",
        b"<!doctype HTML><title>",
        b"\n\t <html lang=en>",
        b"\xef\xbb\xbf<HTML>",
        b"<?xml version='1.0'?>",
        b"<!-- a comment -->",
        b"<a href=/>",
        b"<p>text",
    ],
)
def test_markup_is_known_by_its_beginning(body: bytes) -> None:
    assert looks_like_markup(body)


@pytest.mark.parametrize(
    "body", [b"", b"plain text", b"<", b"<htmlx>", b"< html>", b"GIF89a", b"{}", b"text <html>", b"<unknown>"]
)
def test_other_bytes_are_no_markup(body: bytes) -> None:
    assert not looks_like_markup(body)
