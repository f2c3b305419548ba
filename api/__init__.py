"""The gateway: follows ``updates`` into one shared log and serves it live over WebSocket, SSE and REST."""
