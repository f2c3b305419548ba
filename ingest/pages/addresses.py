"""Addresses of pages: without tracking parameters, and which ones belong to one site."""

import re
from typing import Final
from urllib.parse import urlsplit

import tld

# Query parameters that say where a reader came from, never which article is shown. Lower case.
_TRACKING: Final = frozenset(
    (
        # click ids of advertisers and networks
        *("fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "ysclid", "_openstat"),
        *("twclid", "ttclid", "li_fat_id", "igsh", "igshid", "epik", "srsltid", "rb_clickid", "wickedid", "s_kwcid"),
        *("ef_id", "guccounter", "guce_referrer", "guce_referrer_sig", "__twitter_impression", "ref_src", "ref_url"),
        # newsletters
        *("mc_cid", "mc_eid", "mkt_tok", "oly_anon_id", "oly_enc_id", "vero_id", "vero_conv", "_hsenc", "_hsmi"),
        *("__hssc", "__hstc", "__hsfp", "hsctatracking"),
        # counters of publishers
        *("xtor", "cmpid", "cmp", "intcmp", "ncid", "ocid", "ito", "smid", "smtyp", "emc", "maca", "traffic_source"),
        *("ns_campaign", "ns_mchannel", "ns_source", "ns_linkname", "ns_fee", "s_cid", "wt_mc", "wt_zmc", "dgcid"),
    )
)
_TRACKING_PREFIXES: Final = ("utm_", "mtm_", "pk_", "piwik_", "hsa_", "itm_", "stm_", "at_")
# The path of a site's front page, also in a language of it.
_FRONT: Final = re.compile(
    r"/(?:[a-z]{2}(?:[-_][a-z]{2})?/?|home/?|(?:index|default|home)\.[a-z]{3,5})?", re.IGNORECASE
)


def shown_url(url: str) -> str:
    """The address without parameters for tracking; everything else stays as it is, byte for byte.

    For what readers see only: what identifies an article is made from the address as it came.
    """
    start, mark, fragment = url.partition("#")
    path, question, query = start.partition("?")
    kept = "&".join(part for part in query.split("&") if not _tracks(part))
    if mark and fragment and all(_tracks(part) for part in fragment.lstrip("?").split("&")):
        mark = fragment = ""
    return f"{path}{question if kept or not query else ''}{kept}{mark}{fragment}"


def _tracks(parameter: str) -> bool:
    # A link that was escaped twice: "&amp;utm_source=rss".
    name = parameter.partition("=")[0].lower().removeprefix("amp;")
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)


def same_site(url: str, other: str) -> bool:
    """Whether two web addresses are of the same site: of one registered domain, or of one host without a domain."""
    site = _site(url)
    return bool(site) and site == _site(other)


def _site(url: str) -> str:
    host = (urlsplit(url).hostname or "").rstrip(".")
    found = tld.get_fld(f"https://{host}", fail_silently=True, search_private=True) if host else None
    return str(found or host)


def leads_to_front(wanted: str, found: str) -> bool:
    """Whether an address is the front page, or a section, of the site on which another one was wanted."""
    path, target = urlsplit(wanted), urlsplit(found)
    if _FRONT.fullmatch(target.path or "/") and not target.query:
        return True
    section = target.path.rstrip("/") + "/"
    return path.path.rstrip("/").startswith(section) and not target.query
