"""News in Arabic, each once, also after this program or the gateway was stopped: python subscribe.py [URL]"""

import asyncio
import sys
from pathlib import Path

import khabar

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
PLACE = Path("subscribe.cursor")


async def main() -> None:
    """Print articles until Ctrl-C."""
    cursor = PLACE.read_text() if PLACE.exists() else None
    async with khabar.connect(URL, language="ar", cursor=cursor) as events:
        async for event in events:
            if event.type == "article":
                print(event.time.isoformat(), event.data.source, event.data.title, flush=True)
            # After the work, not before: what was begun and not finished comes again.
            PLACE.write_text(event.cursor)


asyncio.run(main())
