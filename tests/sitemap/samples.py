"""One file of each form, as sites send them."""

URLSET = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="//example.org/main-sitemap.xsl"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
        xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"
        xmlns:xhtml="http://www.w3.org/1999/xhtml">
  <!-- written by hand -->
  <url>
    <loc>https://example.org/</loc>
    <lastmod>2024-05-01</lastmod>
    <changefreq>daily</changefreq>
    <priority>1.0</priority>
  </url>
  <url>
    <loc>
      https://example.org/catalogue?item=12&amp;desc=caf\u00e9
    </loc>
    <image:image>
      <image:loc>https://example.org/not-a-page.jpg</image:loc>
      <image:title>Une tasse</image:title>
    </image:image>
    <xhtml:link rel="alternate" hreflang="de" href="https://example.org/de/"/>
    <lastmod>2024-05-01T10:30:00+02:00</lastmod>
  </url>
  <url><image:image><image:loc>https://example.org/x.jpg</image:loc></image:image>
    <loc><![CDATA[https://example.org/a?b=1&c=2]]></loc></url>
</urlset>
"""

INDEX = """<?xml version="1.0" encoding="UTF-8"?>
<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <sitemap><loc>https://example.org/sitemap-1.xml.gz</loc><lastmod>2024-05-01T10:30Z</lastmod></sitemap>
  <sitemap><loc>https://example.org/sitemap-2.xml.gz</loc></sitemap>
</sitemapindex>
"""

RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/">
  <channel>
    <title>News</title>
    <link>https://example.org/news</link>
    <atom:link href="https://example.org/feed" rel="self" type="application/rss+xml"/>
    <item>
      <title>One</title>
      <atom:link href="https://example.org/never"/>
      <link>https://example.org/news/1</link>
      <description><![CDATA[<p>Text &nbsp; with <a href="https://example.org/no">markup</a></p>]]></description>
      <pubDate>Wed, 02 Oct 2002 15:00:00 +0200</pubDate>
    </item>
    <item><link>https://example.org/news/2</link><dc:date>2002-10-03T00:00:00Z</dc:date></item>
  </channel>
</rss>
"""

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <title>News</title>
  <link href="https://example.org/"/>
  <updated>2003-12-13T18:30:02Z</updated>
  <entry>
    <title>One</title>
    <link rel="edit" href="https://example.org/edit/1"/>
    <link rel="alternate" href="https://example.org/1"/>
    <published>2003-12-01T00:00:00Z</published>
    <updated>2003-12-13T18:30:02.25+01:00</updated>
    <source><link href="https://example.com/elsewhere"/><updated>2001-01-01T00:00:00Z</updated></source>
  </entry>
  <entry><link href="https://example.org/2"/><published>2003-12-02T00:00:00Z</published></entry>
</feed>
"""

TEXT = "https://example.org/1\r\nhttps://example.org/2\r\n\r\n  https://example.org/3"

ALL = {"urlset": URLSET, "sitemapindex": INDEX, "rss": RSS, "atom": ATOM, "text": TEXT}


def urlset(*addresses: str) -> bytes:
    """The plainest file with these addresses."""
    listed = "".join(f"<url><loc>{address}</loc></url>" for address in addresses)
    return f"<urlset>{listed}</urlset>".encode()


def index(*addresses: str) -> bytes:
    listed = "".join(f"<sitemap><loc>{address}</loc></sitemap>" for address in addresses)
    return f"<sitemapindex>{listed}</sitemapindex>".encode()
