"""The full text of articles of which a feed has only a summary, from their pages.

============= ====================================================================================
complete      the page of an entry is fetched, read and checked; the entry gets its text
robots        robots.txt: which pages may be fetched, and how fast
article_check whether a page is the article of an entry: not a consent page, a paywall, a front page
addresses     addresses without tracking parameters; which ones belong to one site
============= ====================================================================================

A page is never an error: where it cannot be had or is not the article, the feed's own text is used.
"""

from ingest.pages.addresses import shown_url
from ingest.pages.complete import Pages

__all__ = ["Pages", "shown_url"]
