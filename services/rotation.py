"""Log files of child processes: bounded in size, a few older files kept."""

import itertools
import shutil
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10_000_000
KEPT: Final = 3


def rotate(path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> bool:
    """Move the content of a log that is larger than ``max_bytes`` to ``NAME.1``; return whether it was.

    ``NAME.1`` becomes ``NAME.2``, and so on; ``kept`` older files stay. The process that writes the log keeps its open
    file, which must be open for appending; what it writes during the copy can be lost. When the copy fails, as on a
    full disk, the log is emptied all the same. Raises ``OSError``.
    """
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    older = [path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1)]
    older[-1].unlink(missing_ok=True)
    for source, target in reversed(list(itertools.pairwise(older))):
        if source.exists():
            source.replace(target)
    try:
        shutil.copyfile(path, older[0])
    except OSError:
        older[0].unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.truncate(0)
    return True
