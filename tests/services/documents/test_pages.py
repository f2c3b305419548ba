"""Whole pages: the news is read, all of it and nothing of the site around it."""

import pytest

from services.documents.html_text import is_page, read_page, text_of_html
from tests.services.documents.pages import NEWS, SITES, Site, article, broken_lines, divisions, links, page

LANGUAGES = pytest.mark.parametrize("language", SITES)


def has_only_the_news(text: str, site: Site, *news: str) -> None:
    """Check that a page's text has all of the news, in order, and nothing of the site."""
    at = -1
    for part in news:
        assert part in text, part
        assert text.index(part) > at, part
        at = text.index(part)
    assert [part for part in site.chrome if part in text] == []


@LANGUAGES
@pytest.mark.parametrize("content", [article, divisions, broken_lines])
def test_an_article_without_the_site_around_it(language: str, content: object) -> None:
    """With and without elements that say what the article is: lead, short paragraphs, and no chrome."""
    site, news = SITES[language], NEWS[language]
    read = read_page(page(site, news, content(site, news)), "https://harbour.example/news/?id=1")
    has_only_the_news(read.text, site, news.lead, *news.paragraphs)
    assert (read.heading, read.title, read.language) == (news.headline, news.headline, language)
    assert read.canonical == "https://harbour.example/news/salalah-port"
    assert news.headline not in read.text


def posts(language: str) -> list[str]:
    """Posts of a live blog, some of them of a few words."""
    news = NEWS[language]
    return [f"{text} ({number})" for number, text in enumerate([*news.paragraphs, *news.paragraphs, news.lead])]


@LANGUAGES
@pytest.mark.parametrize(
    "form",
    [
        '<article class="post"><time>{n}:00</time><h2>{h}</h2><p>{p}</p></article>',
        '<article class="post"><h2><a href="#{n}">{h}</a></h2><p>{p}</p></article>',
        '<div class="post" id="p{n}"><time>{n}:00</time><h3>{h}</h3><p>{p}</p></div>',
        '<li class="update"><b>{n}:00</b> {h}<div>{p}</div></li>',
    ],
)
def test_all_posts_of_a_live_blog(language: str, form: str) -> None:
    """Each post is an article, a division or an item: all stay, in order."""
    site, news, texts = SITES[language], NEWS[language], posts(language)
    parts = "".join(form.format(n=number, h=f"{news.lead[:9]} {number}", p=text) for number, text in enumerate(texts))
    content = f"<main><h1>{news.headline}</h1><section>{parts}</section></main>"
    has_only_the_news(read_page(page(site, news, content)).text, site, *texts)


RATES = (("Currency", "Buy", "Sell"), ("Dollar", "47.10", "47.25"), ("Euro", "54.30", ""), ("Yen", "0.31", "0.32"))


@pytest.mark.parametrize("frame", ["<article>{}</article>", '<div class="txt">{}</div>'])
def test_a_table_that_is_news(frame: str) -> None:
    """The rows of a table of exchange rates are lines, cells apart; an empty cell keeps its place."""
    site, news = SITES["en"], NEWS["en"]
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in RATES)
    content = f"<h1>{news.headline}</h1><p>{news.paragraphs[0]}</p><table>{rows}</table><p>{news.paragraphs[1]}</p>"
    text = read_page(page(site, news, frame.format(content))).text
    lines = ("Currency | Buy | Sell", "Dollar | 47.10 | 47.25", "Euro | 54.30", "Yen | 0.31 | 0.32")
    has_only_the_news(text, site, news.paragraphs[0], *lines, news.paragraphs[1])


def test_an_amp_page() -> None:
    """AMP: its pictures and advertisements say nothing."""
    site, news = SITES["ar"], NEWS["ar"]
    content = f"""<article><h1>{news.headline}</h1><amp-img src="a.jpg" width="1" height="1"></amp-img>
    <p>{news.paragraphs[0]}</p><amp-ad width="300">{site.subscribe}</amp-ad><p>{news.paragraphs[1]}</p></article>
    <amp-sidebar id="s">{site.menu[0]}</amp-sidebar>"""
    markup = page(site, news, content).replace("<html", "<html ⚡")
    has_only_the_news(read_page(markup).text, site, *news.paragraphs[:2])


def test_articles_that_are_links_to_others_and_comments_in_article_elements() -> None:
    """Teasers of other articles and readers' comments may be ``<article>`` too."""
    site, news = SITES["en"], NEWS["en"]
    teasers = "".join(
        f'<article class="card"><h3><a href="/n">{text}</a></h3><p>{text}: a summary of it.</p></article>'
        for text in site.related
    )
    comments = "".join(f'<article class="comment-body"><p>{text}</p></article>' for text in site.comments)
    content = f"""{article(site, news)}<section>{teasers}</section><section class="related">{teasers}</section>
    <div id="comments"><h2>3 comments</h2>{comments}</div>"""
    has_only_the_news(read_page(page(site, news, content)).text, site, news.lead, *news.paragraphs)


def test_names_of_chrome_on_what_holds_the_article() -> None:
    """A wrapper named after its sidebar, a form around the page, a body for subscribers: the article stays."""
    site, news = SITES["en"], NEWS["en"]
    body = "".join(f"<p>{text}</p>" for text in news.paragraphs)
    content = f"""<form id="aspnetForm"><div class="layout has-sidebar cookie-layer"><h1>{news.headline}</h1>
    <div class="paywall-content"><p>{news.lead}</p>{body}</div></div></form>"""
    has_only_the_news(read_page(page(site, news, content)).text, site, news.lead, *news.paragraphs)


def test_sections_above_a_headline_and_headings_of_links() -> None:
    """The section's name above the headline goes, and a list of links goes with its heading; short news stays."""
    site, news = SITES["en"], NEWS["en"]
    content = f"""<main><div><a href="/t">Shipping</a>|<a href="/o">Oman</a></div><h1>{news.headline}</h1>
    <div class="txt"><p>{news.paragraphs[0]}</p><div class="x"><h2>Recommended stories</h2>{links(site.related)}</div>
    <div><p>Ships wait.</p>{links(site.related)}</div></div></main>"""
    text = read_page(page(site, news, content)).text
    assert text.split("\n\n") == [news.paragraphs[0], "Ships wait."]


def test_the_headline_among_several() -> None:
    """Of several ``<h1>``, the site's name among them, the headline is what the page's title names; the others stay."""
    site, news = SITES["en"], NEWS["en"]
    content = f"""<div><h1><a href="/">{site.name}</a></h1></div><div><h1>{news.headline}</h1>
    <p>{news.paragraphs[0]}</p><h1>Further down</h1><p>{news.paragraphs[1]}</p></div>"""
    read = read_page(page(site, news, content))
    assert read.heading == news.headline
    has_only_the_news(read.text, site, news.paragraphs[0], "Further down", news.paragraphs[1])


def test_a_lead_outside_the_article_element() -> None:
    """The lead and the key points between headline and ``<article>`` belong to it."""
    site, news = SITES["en"], NEWS["en"]
    points = "".join(f"<li>{text}</li>" for text in news.paragraphs[:2])
    body = "".join(f"<p>{text}</p>" for text in news.paragraphs[2:])
    content = f"""<main><h1>{news.headline}</h1><p class="lead">{news.lead}</p><ul>{points}</ul>
    <article>{body}</article></main>"""
    has_only_the_news(read_page(page(site, news, content)).text, site, news.lead, *news.paragraphs)


def test_a_document_without_a_site_around_it() -> None:
    """A body in ``<html>``, as some feeds and letters have it: all of its words are kept."""
    news = NEWS["en"]
    body = f"{news.lead}<br><div><p>{news.paragraphs[0]}</p><p>{news.paragraphs[1]}</p></div>{news.paragraphs[2]}"
    text = read_page(f"<html><head><style>p {{}}</style></head><body>{body}</body></html>").text
    assert text.split("\n\n") == [news.lead, *news.paragraphs[:3]]


@pytest.mark.parametrize("frame", ["{}", "<nav>menu</nav><article>{}</article>"])
def test_what_follows_the_end_of_a_page(frame: str) -> None:
    """Some templates end a page too early, some programs join pages: all of the news is read."""
    first, second = NEWS["en"].paragraphs[:2]
    parts = f"<p>{first}</p></body></html>", f"<html><body><p>{second}</p>"
    assert read_page(f"<html><body>{frame.format(''.join(parts))}</body>").text.split("\n\n") == [first, second]


def test_a_short_flash() -> None:
    """A page with one sentence of news is read."""
    site, news = SITES["ar"], NEWS["ar"]
    for content in (f"<article><p>{news.lead}</p></article>", f"<div><h1>{news.headline}</h1><p>{news.lead}</p></div>"):
        has_only_the_news(read_page(page(site, news, content)).text, site, news.lead)


def test_a_page_without_an_article() -> None:
    """Only a banner and menus: the page has no text for a reader of articles; pushed, all of its words are kept."""
    site = SITES["en"]
    markup = f'<html><body><nav>{links(site.menu)}</nav><div class="cookie-consent">{site.consent}</div></body></html>'
    assert read_page(markup).text == ""
    assert site.consent in text_of_html(markup)


def test_the_headline_is_text_unless_it_is_the_title() -> None:
    """A page that is pushed without a title begins with its headline."""
    site, news = SITES["en"], NEWS["en"]
    markup = page(site, news, article(site, news))
    assert text_of_html(markup).split("\n\n")[:2] == [news.headline, news.lead]
    assert text_of_html(markup, news.headline.upper()).split("\n\n")[0] == news.lead
    assert text_of_html(markup, "Another title").split("\n\n")[0] == news.headline


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        ("https://a.example/n", "https://a.example/n"),
        ("/n", "https://b.example/n"),
        ("javascript:alert(1)", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_canonical_addresses_are_absolute(link: str, canonical: str | None) -> None:
    """Relative ones are resolved; what is no web address is left out."""
    read = read_page(f'<html><link rel=canonical href="{link}"><body><p>text</p></body></html>', "https://b.example/x")
    assert read.canonical == canonical


def test_pages_and_fragments() -> None:
    """A document has a doctype, ``<html>`` or ``<body>``; what only speaks of them is a fragment."""
    assert all(map(is_page, ("<!DOCTYPE html><p>a", "<HTML ⚡><p>a", "a<body class=x>b")))
    assert not any(map(is_page, ("<p>a</p>", "&lt;html&gt;", "<header>a</header>", "<htmlx>")))
