"""Documents that others wrote, in the forms in which they come: files, pages, feeds → articles and text.

=============== ==================================================================
dates           dates as publishers write them → moments
file_kinds      the kind of a file, by its name or content
lines           the lines of a file in any encoding, in bounded memory
warc            web archives → articles
page_articles   a whole web page → the fields of an article
encodings       bytes → text, whatever encoding is declared
feed            what a feed document holds: the result of feed_parser
feed_bodies     the text of a feed entry, chosen among its bodies
feed_document   a feed document → its content: the work of feed_parser's child process
feed_entries    RSS, RDF and Atom
feed_fields     titles, authors, languages and guids of feeds
feed_json       JSON Feed
feed_links      addresses in feeds
feed_parser     feed documents → entries, in a child process
feed_sitemap    news sitemaps
feed_xml        the XML of feeds → a tree, also where it is broken
files           reading articles from files and directories
page_links      the feeds that a page links to
opml            lists of feeds: OPML, or one URL a line
html_fragment   HTML fragments → all their words, in linear time
html_text       HTML → text, of fragments and of pages
page_extraction the main text of a whole page, in a child process
=============== ==================================================================
"""
