// The stream over WebSocket in Node: npm ci && node subscribe.mjs [URL]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import WebSocket from 'ws';

const gateway = process.argv[2] ?? 'http://127.0.0.1:8000';
const CURSOR_FILE = 'subscribe.cursor';

function follow() {
  const query = new URLSearchParams({ type: 'article', language: 'ar' });
  if (existsSync(CURSOR_FILE)) query.set('cursor', readFileSync(CURSOR_FILE, 'utf8'));
  const socket = new WebSocket(`${gateway.replace('http', 'ws')}/v1/stream?${query}`);
  let silence;
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.terminate(), 40_000); // heartbeats come every 15 s
  };
  alive();
  socket.on('error', (error) => console.error(error.message));
  socket.on('close', () => {
    clearTimeout(silence);
    setTimeout(follow, 500 + 500 * Math.random());
  });
  socket.on('message', (frame) => {
    alive();
    for (const message of frame.toString().split('\n').map((line) => JSON.parse(line))) {
      if (message.type === 'error') {
        console.error(message.message);
        if (!['going_away', 'too_slow', 'unavailable'].includes(message.code)) process.exit(1);
        continue;
      }
      if (message.data) console.log(message.time, message.data.source, message.data.title);
      if (message.cursor) writeFileSync(CURSOR_FILE, message.cursor);
    }
  });
}

follow();
