"""Print articles in Arabic; resume after a restart of this program or the gateway: python subscribe.py [URL]"""

import asyncio
import sys
from pathlib import Path

import khabar

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
CURSOR_FILE = Path("subscribe.cursor")


async def main() -> None:
    """Print articles until Ctrl-C."""
    cursor = CURSOR_FILE.read_text() if CURSOR_FILE.exists() else None
    async with khabar.connect(URL, language="ar", cursor=cursor) as events:
        async for event in events:
            if event.type == "article":
                print(event.time.isoformat(), event.data.source, event.data.title, flush=True)
            # Save the cursor after the work: an event whose work was interrupted is delivered again.
            CURSOR_FILE.write_text(event.cursor)


asyncio.run(main())
