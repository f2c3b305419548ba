"""The stream as server-sent events with aiohttp: python events_sse.py [URL]"""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
CURSOR_FILE = Path("events_sse.cursor")
SILENCE = aiohttp.ClientTimeout(sock_read=40)  # heartbeats come every 15 s


async def follow() -> None:
    """Print articles over one connection."""
    headers = {"Last-Event-ID": CURSOR_FILE.read_text()} if CURSOR_FILE.exists() else {}
    query = f"{URL}/v1/events?type=article&language=ar"
    async with aiohttp.request("GET", query, headers=headers, timeout=SILENCE, read_bufsize=2**24) as response:
        if 400 <= response.status < 500:
            sys.exit(await response.text())
        event: dict[str, str] = {}
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event[name] = value
            if name == "" and "id" in event:  # the end of an event
                if event.get("event") == "article":
                    article = json.loads(event["data"])["data"]
                    print(article["received_at"], article["source"], article["title"], flush=True)
                CURSOR_FILE.write_text(event["id"])
                event = {}


while True:
    try:
        asyncio.run(follow())
    except (aiohttp.ClientError, OSError) as error:
        print(error, file=sys.stderr)
    asyncio.run(asyncio.sleep(1))
