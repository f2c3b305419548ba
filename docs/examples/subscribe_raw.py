"""The stream over WebSocket, without the Khabar client: python subscribe_raw.py [URL]"""

import asyncio
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
CURSOR_FILE = Path("subscribe_raw.cursor")


async def follow() -> None:
    """Print articles over one connection."""
    resume = {"cursor": CURSOR_FILE.read_text()} if CURSOR_FILE.exists() else {}
    query = {"type": "article", "language": "ar", **resume}
    async with connect(f"{URL.replace('http', 'ws', 1)}/v1/stream?{urlencode(query)}", max_size=None) as socket:
        while True:
            async with asyncio.timeout(40):  # heartbeats come every 15 s
                frame = await socket.recv(decode=True)
            for message in map(json.loads, frame.split("\n")):
                if message["type"] == "error" and message["code"] not in {"going_away", "too_slow", "unavailable"}:
                    sys.exit(message["message"])
                if message["type"] == "article":
                    print(message["time"], message["data"]["source"], message["data"]["title"], flush=True)
                if message["type"] != "error":
                    CURSOR_FILE.write_text(message["cursor"])


while True:
    try:
        asyncio.run(follow())
    except (OSError, WebSocketException) as error:
        print(error, file=sys.stderr)
    time.sleep(1)
