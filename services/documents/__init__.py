"""Documents that others wrote, in the forms in which they come: files, pages, feeds → articles and text.

=============== ==================================================================
files           reading articles from files and directories
encodings       bytes → text, whatever encoding is declared
feed            what a feed document holds: the result of feed_parser
feed_document   a feed document → its content: the work of feed_parser's child process
feed_parser     feed documents → entries, in a child process
html_fragment   HTML fragments → all their words, in linear time
html_text       HTML → text, of fragments and of pages
page_extraction the main text of a whole page, in a child process
=============== ==================================================================
"""
