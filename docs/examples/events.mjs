// The stream as server-sent events in Node: npm ci && node events.mjs [URL]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { EventSource } from 'eventsource';

const gateway = process.argv[2] ?? 'http://127.0.0.1:8000';
const PLACE = 'events.cursor';

function follow() {
  const query = new URLSearchParams({ type: 'article', language: 'ar' });
  if (existsSync(PLACE)) query.set('cursor', readFileSync(PLACE, 'utf8'));
  const events = new EventSource(`${gateway}/v1/events?${query}`);
  const keep = (event) => writeFileSync(PLACE, event.lastEventId);

  events.addEventListener('article', (event) => {
    const { time, data } = JSON.parse(event.data);
    console.log(time, data.source, data.title);
    keep(event);
  });
  events.addEventListener('heartbeat', keep);
  // A line that breaks it mends by itself, with Last-Event-ID; after an answer that is no stream it gives up.
  events.addEventListener('error', (event) => {
    console.error(event.message ?? event.data ?? 'disconnected');
    if (event.code >= 400 && event.code < 500) process.exit(1);
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1_000);
  });
}

follow();
