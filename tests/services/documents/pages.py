"""Generated pages of news sites: an article in the frame of a site, in several languages and kinds of markup."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Site:
    """A site's language and its words around an article; none of them may be in the article's text."""

    language: str
    name: str
    menu: tuple[str, ...]
    consent: str
    subscribe: str
    related: tuple[str, ...]
    comments: tuple[str, ...]
    legal: str
    share: tuple[str, ...]

    @property
    def chrome(self) -> list[str]:
        """All texts around the article."""
        return [
            *(self.name, *self.menu, self.consent, self.subscribe, *self.related, *self.comments, self.legal),
            *self.share,
        ]


@dataclass(frozen=True, slots=True)
class News:
    """An article: its headline, its lead and its paragraphs."""

    headline: str
    lead: str
    paragraphs: tuple[str, ...]


SITES = {
    "ar": Site(
        "ar",
        "جريدة الضفاف",
        ("الرئيسية", "سياسة", "اقتصاد", "رياضة", "ثقافة وفن"),
        "نستخدم ملفات الارتباط لتحسين تجربتك. هل توافق على ذلك؟ يمكنك تغيير رأيك لاحقا من صفحة الخصوصية.",
        "لمتابعة القراءة اشترك الآن بسعر مخفض، فهذه المادة مخصصة للمشتركين.",
        ("افتتاح معرض الكتاب في جدة", "فوز فريق الشباب بالكأس", "ارتفاع أسعار الزيوت في الأسواق", "عواصف رملية متوقعة"),
        ("شكرا على هذا التقرير المفيد", "لا أظن أن هذا صحيح يا صديقي", "ننتظر المزيد منكم دائما"),
        "كل الحقوق محفوظة لدى جريدة الضفاف 2026",
        ("شارك عبر واتساب", "انسخ الرابط"),
    ),
    "en": Site(
        "en",
        "The Harbour Gazette",
        ("Home", "Politics", "Business", "Sport", "Culture"),
        "This site uses cookies to improve your experience. Accept all or manage your choices at any time.",
        "Subscribe now to continue reading. Members only, from two pounds a week.",
        ("Ten walks for autumn", "Rovers beat City on penalties", "Why olive oil costs more", "A storm names itself"),
        ("Great reporting as ever", "Nobody believes these figures", "First!"),
        "Copyright Harbour Media 2026, all rights reserved",
        ("Share via WhatsApp", "Copy link"),
    ),
    "zh": Site(
        "zh",
        "江岸日报",
        ("首页", "时政", "财经", "体育", "文化"),
        "本网站使用饼干技术改善您的体验，请选择是否接受。",
        "请订阅后继续阅读，本文仅供会员。",
        ("秋天的十条步道", "主队点球取胜", "食用油为何涨价", "台风即将登陆"),
        ("报道得很好", "这些数字没人相信", "坐沙发"),
        "江岸传媒版权所有",
        ("分享到微信", "复制链接"),
    ),
}

NEWS = {
    "ar": News(
        "الحكومة تقر خطة لتوسعة ميناء صلالة",
        "تشمل الخطة أربعة أرصفة جديدة وتنتهي بعد ثلاثة أعوام.",
        (
            "أقرت الحكومة العمانية اليوم خطة لتوسعة ميناء صلالة تشمل أربعة أرصفة جديدة بكلفة تبلغ ثلاثمئة مليون ريال.",
            "وقال وزير النقل سعيد المعولي إن العمل يبدأ في الشهر المقبل، وإن الشركة المنفذة "
            "اختيرت بعد منافسة شاركت فيها ست شركات.",
            "وانتقد تجار في السوق القريبة إغلاق الطريق القديم.",
            "وتبلغ طاقة الميناء حاليا خمسة ملايين حاوية في العام، ويتوقع أن ترتفع إلى سبعة ملايين بعد التوسعة.",
            "وأضاف الوزير: «لن تتوقف حركة السفن يوما واحدا».",
        ),
    ),
    "en": News(
        "Cabinet approves plan to widen Salalah port",
        "The work adds four berths and ends in three years.",
        (
            "The cabinet approved a plan on Monday to widen the port of Salalah with four "
            "new berths worth 300 million rials.",
            "Transport minister Said Al Maawali said that work begins next month, after a "
            "tender in which six firms took part.",
            "Traders nearby complained.",
            "The port now handles five million containers a year, a number expected to reach "
            "seven million after the work.",
            "“Ships will not stop for a single day,” the minister said.",
        ),
    ),
    "zh": News(
        "内阁批准扩建塞拉莱港",
        "工程新增四个泊位，三年后完工。",
        (
            "内阁周一批准了扩建塞拉莱港的计划，将新增四个泊位，耗资三亿里亚尔，这是该港二十年来规模最大的一次扩建。",
            "交通大臣赛义德表示，工程将于下月开工，共有六家公司参加了招标，中标企业将在本周内签署合同并进驻工地。",
            "附近商人表示不满。",
            "港口目前每年处理五百万个集装箱，预计扩建后将达到七百万个，届时将成为地区内最大的转运港之一。",
        ),
    ),
}


def paragraphs(news: News) -> str:
    """The article's paragraphs in HTML."""
    return "".join(f"<p>{escape(text)}</p>\n" for text in news.paragraphs)


def links(texts: tuple[str, ...], name: str = "") -> str:
    """A list of links."""
    items = "".join(f'<li><a href="/n/{number}">{escape(text)}</a></li>' for number, text in enumerate(texts))
    return f'<ul class="{name}">{items}</ul>'


def page(site: Site, news: News, content: str, *, head: str = "") -> str:
    """The content in the frame of a modern site."""
    comments = "".join(f'<li class="comment"><p>{escape(text)}</p></li>' for text in site.comments)
    return f"""<!DOCTYPE html>
<html lang="{site.language}"><head><meta charset="utf-8"><title>{escape(news.headline)} - {escape(site.name)}</title>
<meta property="og:site_name" content="{escape(site.name)}"><meta property="og:title" content="{escape(news.headline)}">
<link rel="canonical" href="/news/salalah-port">{head}
<script>window.dataLayer = [{{"<p>": "not shown"}}];</script><style>p {{ color: black }}</style></head>
<body class="single-post has-sidebar comments-open">
<div id="cookie-banner" role="region"><p>{escape(site.consent)}</p><button>OK</button></div>
<header class="site-header"><a href="/"><img src="logo.png" alt="logo"></a><p>{escape(site.name)}</p>
<nav>{links(site.menu)}</nav></header>
{content}
<aside class="sidebar">{links(site.related, "most-read")}</aside>
<section id="comments" class="comments-area"><ol class="comment-list">{comments}</ol></section>
<footer><p>{escape(site.legal)}</p>{links(site.menu)}</footer>
</body></html>"""


def share(site: Site) -> str:
    """Buttons to share an article."""
    return f'<div class="share-buttons">{"".join(f"<span>{escape(text)}</span>" for text in site.share)}</div>'


def article(site: Site, news: News) -> str:
    """An ``<article>`` with a notice of a paywall and related links in it."""
    body = paragraphs(news).split("\n", 1)
    return f"""<main><article class="post"><header><h1>{escape(news.headline)}</h1>
<p class="standfirst">{escape(news.lead)}</p>{share(site)}</header>
<div class="entry-content">{body[0]}<div class="related-inline">{links(site.related[:2])}</div>{body[1]}
<div class="paywall-notice"><p>{escape(site.subscribe)}</p></div></div></article></main>"""


def divisions(site: Site, news: News) -> str:
    """The same without any element that says what is what."""
    return f"""<div class="wrap"><div class="col-8"><h1>{escape(news.headline)}</h1>
<div class="standfirst">{escape(news.lead)}</div>{share(site)}<div class="c-txt">{paragraphs(news)}</div></div>
<div class="col-4"><div class="box related">{links(site.related)}</div>
<div class="newsletter">{escape(site.subscribe)}</div></div></div>"""


def broken_lines(site: Site, news: News) -> str:
    """The article as lines in one cell of a table for layout, as old sites have it."""
    text = "<br><br>".join(escape(line) for line in (news.lead, *news.paragraphs))
    return f"""<table width="100%"><tr><td width="20%">{links(site.related)}</td>
<td><h1>{escape(news.headline)}</h1><font size="3">{text}</font></td></tr></table>"""
