"""Public corpora as they are downloaded, read in place."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

_DAYS = 4


def newspaper_texts(folder: Path) -> Iterator[str]:
    """The texts of the first days of SaudiNewsNet: ZIP files of JSON, one a day."""
    for path in sorted(folder.glob("*.zip"))[:_DAYS]:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                for article in json.loads(archive.read(name)):
                    yield article.get("content") or ""
