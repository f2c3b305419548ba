// The stream as server-sent events in Node: npm ci && node events.mjs [URL]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { EventSource } from 'eventsource';

const gateway = process.argv[2] ?? 'http://127.0.0.1:8000';
const CURSOR_FILE = 'events.cursor';

function follow() {
  const query = new URLSearchParams({ type: 'article', language: 'ar' });
  if (existsSync(CURSOR_FILE)) query.set('cursor', readFileSync(CURSOR_FILE, 'utf8'));
  const events = new EventSource(`${gateway}/v1/events?${query}`);
  const save = (event) => writeFileSync(CURSOR_FILE, event.lastEventId);

  events.addEventListener('article', (event) => {
    const { time, data } = JSON.parse(event.data);
    console.log(time, data.source, data.title);
    save(event);
  });
  events.addEventListener('heartbeat', save);
  // EventSource reconnects after a broken connection, with Last-Event-ID. It stops if the answer is not a stream.
  events.addEventListener('error', (event) => {
    console.error(event.message ?? event.data ?? 'disconnected');
    if (event.code >= 400 && event.code < 500) process.exit(1);
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1_000);
  });
}

follow();
