// connection.js: subscribing, resuming, reconnecting and refusals, with a WebSocket and a clock that the test controls.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Connection } from '../../api/dashboard/connection.js';
import { State } from '../../api/dashboard/state.js';
import { FakeClock, FakeGateway, FakeWebSocket, article, settle } from './fakes.mjs';

const HEARTBEAT = { type: 'heartbeat', cursor: 'later' };
let clock;
let state;
let connection;
let gateway;

beforeEach(() => {
  FakeWebSocket.all = [];
  clock = new FakeClock();
  state = new State();
  gateway = new FakeGateway();
  connection = new Connection({
    state,
    WebSocket: FakeWebSocket,
    fetch: gateway.fetch,
    location: { href: 'https://news.example/', protocol: 'https:', origin: 'https://news.example' },
    clock,
    random: () => 1,
  });
  connection.connect();
});

// The gateway opens the connection and confirms the subscription.
function confirm(cursor = 'start') {
  FakeWebSocket.last.open();
  FakeWebSocket.last.frame({ type: 'subscribed', cursor });
}

test('the first connection asks for the articles of the last five minutes', () => {
  const { address, query } = FakeWebSocket.last;
  assert.equal(`${address.origin}${address.pathname}`, 'wss://news.example/v1/stream');
  assert.deepEqual(query, { type: 'article', duplicates: 'show', since: '2026-03-01T11:55:00.000Z' });
  assert.equal(state.status.name, 'connecting');
  confirm();
  assert.equal(state.status.name, 'live');
});

test('a plain page uses a plain WebSocket', () => {
  const plain = { href: 'http://127.0.0.1:8000/', protocol: 'http:' };
  new Connection({ state: new State(), WebSocket: FakeWebSocket, location: plain, clock }).connect();
  assert.equal(FakeWebSocket.last.address.origin, 'ws://127.0.0.1:8000');
});

test('a frame has one event a line; blank lines, other types, broken JSON and binary frames are ignored', () => {
  confirm();
  const socket = FakeWebSocket.last;
  const lines = [JSON.stringify(article('a')), '', '{"type":', JSON.stringify({ type: 'article', data: {} }), JSON.stringify(article('b'))];
  socket.dispatchEvent(new MessageEvent('message', { data: lines.join('\n') }));
  socket.dispatchEvent(new MessageEvent('message', { data: new ArrayBuffer(4) }));
  socket.frame(HEARTBEAT, { type: 'story', data: { id: 's' } });
  assert.deepEqual([...state.articles.keys()], ['a', 'b']);
});

test('an article shows that the connection is live, also before the confirmation', () => {
  FakeWebSocket.last.open();
  FakeWebSocket.last.frame(article('a'));
  assert.equal(state.status.name, 'live');
});

test('articles from before the connection do not count as arrivals while the page catches up', () => {
  confirm();
  FakeWebSocket.last.frame(article('old', {}, '2026-03-01T11:58:00Z'), article('new', {}, '2026-03-01T12:00:01Z'));
  assert.deepEqual(state.arrivals, { sinceTick: 1, sinceSummary: 1, latestTitle: 'new' });
  clock.advance(6_000);
  FakeWebSocket.last.frame(article('late', {}, '2026-03-01T11:59:00Z'));
  assert.equal(state.arrivals.sinceTick, 2);
});

test('after a break the stream resumes at the last cursor, also that of a heartbeat', () => {
  confirm();
  FakeWebSocket.last.frame(article('a'));
  FakeWebSocket.last.frame(HEARTBEAT);
  FakeWebSocket.last.closeWith(1006);
  assert.deepEqual(state.status, { name: 'reconnecting', values: { seconds: 1 } });
  clock.advance(500);
  assert.deepEqual(FakeWebSocket.last.query, { type: 'article', duplicates: 'show', cursor: 'later' });
  confirm();
  assert.equal(state.status.name, 'resumed');
  // A second confirmation, of a filter for example, leaves the notice.
  FakeWebSocket.last.frame({ type: 'subscribed', cursor: 'later' });
  assert.equal(state.status.name, 'resumed');
});

test('the backoff doubles up to 30 s and starts again after a stable connection', () => {
  const delays = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    FakeWebSocket.last.closeWith(1006);
    delays.push(clock.waits[0]);
    clock.advance(clock.waits[0]);
  }
  assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  confirm();
  clock.advance(11_000);
  FakeWebSocket.last.closeWith(1006);
  assert.deepEqual(clock.waits, [500]);
});

test('half of the delay is random', () => {
  const early = new Connection({
    state, WebSocket: FakeWebSocket, fetch: gateway.fetch, location: { href: 'http://x/', protocol: 'http:' }, clock, random: () => 0,
  });
  early.connect();
  FakeWebSocket.last.closeWith(1006);
  assert.deepEqual(clock.waits, [250]);
});

test('a connection without a message for 40 s is replaced', () => {
  confirm();
  const dead = FakeWebSocket.last;
  clock.advance(39_000);
  connection.checkSilence();
  assert.equal(state.status.name, 'live');
  clock.advance(1_000);
  connection.checkSilence();
  assert.equal(dead.readyState, FakeWebSocket.CLOSED);
  assert.equal(state.status.name, 'reconnecting');
  connection.checkSilence();
  assert.equal(clock.waits.length, 1);
});

test('a socket that was replaced before it opened is closed once it opens, and its messages are ignored', () => {
  const first = FakeWebSocket.last;
  connection.connect();
  assert.equal(first.readyState, FakeWebSocket.CONNECTING);
  first.open();
  assert.equal(first.readyState, FakeWebSocket.CLOSED);
  first.frame(article('a'));
  first.closeWith(1006);
  assert.equal(state.articles.size, 0);
  assert.equal(state.status.name, 'connecting');
});

test('the page reconnects at once when the browser is online again, unless it is connected', () => {
  FakeWebSocket.last.closeWith(1006);
  connection.reconnectNow();
  assert.equal(FakeWebSocket.all.length, 2);
  assert.deepEqual(clock.waits, []);
  // The backoff has started again.
  FakeWebSocket.last.closeWith(1006);
  assert.deepEqual(clock.waits, [500]);
  connection.reconnectNow();
  confirm();
  connection.reconnectNow();
  assert.equal(FakeWebSocket.all.length, 3);
});

test('a change of filter is sent on the open connection, or as soon as it opens', () => {
  state.setLanguage('ar');
  assert.deepEqual(FakeWebSocket.last.sent, []);
  confirm();
  state.setFocus({ kind: 'entity', id: 'Q1', name: 'غزة' });
  const filter = { type: ['article'], duplicates: ['show'], language: ['ar'] };
  assert.deepEqual(FakeWebSocket.last.sent, [
    { op: 'subscribe', filter },
    { op: 'subscribe', filter: { ...filter, entity: ['Q1'] } },
  ]);
  // The next connection has the filter in its address.
  FakeWebSocket.last.closeWith(1006);
  clock.advance(500);
  assert.deepEqual(FakeWebSocket.last.query, {
    type: 'article', duplicates: 'show', entity: 'Q1', language: 'ar', cursor: 'start',
  });
  FakeWebSocket.last.open();
  assert.deepEqual(FakeWebSocket.last.sent, []);
});

test('hiding near-duplicates does not touch the stream', () => {
  confirm();
  state.setHideDuplicates(true);
  assert.deepEqual(FakeWebSocket.last.sent, []);
});

for (const code of ['cursor_too_old', 'bad_cursor']) {
  test(`a cursor refused with ${code} is dropped, and the status says so`, () => {
    confirm('refused');
    FakeWebSocket.last.closeWith(1006);
    clock.advance(500);
    FakeWebSocket.last.open();
    // What follows the error in its frame belongs to a connection that is replaced.
    FakeWebSocket.last.frame({ type: 'error', code, message: 'no' }, article('a'));
    assert.equal(state.articles.size, 0);
    assert.deepEqual(FakeWebSocket.last.query, { type: 'article', duplicates: 'show' });
    confirm();
    assert.equal(state.status.name, code);
  });
}

test('a gateway that keeps less than five minutes is asked for what arrives from now on', () => {
  FakeWebSocket.last.open();
  FakeWebSocket.last.frame({ type: 'error', code: 'cursor_too_old', message: 'no' });
  assert.deepEqual(FakeWebSocket.last.query, { type: 'article', duplicates: 'show' });
  confirm();
  assert.equal(state.status.name, 'live');
});

test('a refusal shows the gateway’s reason and is tried again after 30 s', () => {
  FakeWebSocket.last.open();
  FakeWebSocket.last.frame({ type: 'error', code: 'bad_filter', message: 'x'.repeat(300) });
  assert.deepEqual(state.status, { name: 'refused', values: { reason: `${'x'.repeat(200)}…` } });
  FakeWebSocket.last.closeWith(4400, 'short reason');
  assert.equal(state.status.values.reason.length, 201);
  assert.deepEqual(clock.waits, [30_000]);
  clock.advance(30_000);
  FakeWebSocket.last.closeWith(1008, 'policy');
  assert.deepEqual(state.status, { name: 'refused', values: { reason: 'policy' } });
});

test('a client that was too slow resumes like after any other break', () => {
  confirm();
  FakeWebSocket.last.closeWith(4408);
  assert.equal(state.status.name, 'reconnecting');
  assert.deepEqual(clock.waits, [500]);
});

test('an unknown key stops the connection until another is entered', () => {
  state.access.key = 'wrong';
  FakeWebSocket.last.open();
  assert.deepEqual(FakeWebSocket.last.sent, [{ op: 'auth', key: 'wrong' }]);
  FakeWebSocket.last.closeWith(4401);
  assert.deepEqual(state.access, { key: '', asking: true, refused: true });
  assert.deepEqual(state.status, { name: 'refused', values: {} });
  assert.deepEqual(clock.waits, []);
  connection.connect();
  assert.equal(FakeWebSocket.all.length, 1);
  state.acceptKey('right');
  assert.equal(state.status.name, 'connecting');
  FakeWebSocket.last.open();
  assert.deepEqual(FakeWebSocket.last.sent, [{ op: 'auth', key: 'right' }]);
});

// ---------------------------------------------------------------- where no WebSocket opens

// Two WebSockets in a row fail while the gateway answers other requests.
async function fallBack(probe) {
  gateway.probe = probe;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    FakeWebSocket.last.closeWith(1006);
    await settle();
  }
  return gateway.streams.at(-1);
}

test('a gateway that cannot be reached is said to be so, and is tried again', async () => {
  for (const probe of [new TypeError('no network'), 502]) {
    gateway.probe = probe;
    FakeWebSocket.last.closeWith(1006);
    await settle();
    assert.equal(state.status.name, 'away');
    assert.ok(state.status.values.seconds >= 1);
    clock.advance(2_000);
  }
  assert.deepEqual(gateway.streams, []);
});

for (const [probe, status] of [[204, 'noUpgrade'], [405, 'noUpgrade'], [403, 'originRefused']]) {
  test(`where WebSockets fail and the gateway answers ${probe}, events are read and the status says why`, async () => {
    const stream = await fallBack(probe);
    assert.equal(FakeWebSocket.all.length, 2);
    assert.equal(stream.address.origin + stream.address.pathname, 'https://news.example/v1/events');
    assert.deepEqual(stream.query, { type: 'article', duplicates: 'show', since: '2026-03-01T11:55:00.000Z' });
    assert.notEqual(state.status.name, status);
    stream.open();
    stream.send(`retry: 2000\n\nid: c1\nevent: heartbeat\ndata: ${JSON.stringify({ type: 'heartbeat', cursor: 'c1' })}\n\n`);
    await settle();
    assert.deepEqual(state.status, { name: status, values: { origin: 'https://news.example' } });
    const text = `id: c2\nevent: article\ndata: ${JSON.stringify(article('غزة'))}\n\n`;
    // Also in the middle of a letter.
    const bytes = new TextEncoder().encode(text);
    const cut = bytes.findIndex((byte) => byte > 127) + 1;
    stream.controller.enqueue(bytes.slice(0, cut));
    stream.controller.enqueue(bytes.slice(cut));
    await settle();
    assert.deepEqual([...state.articles.keys()], ['غزة']);
    // It resumes like a WebSocket.
    stream.end();
    await settle();
    assert.equal(state.status.name, 'reconnecting');
    clock.advance(30_000);
    assert.equal(gateway.streams.at(-1).query.cursor, 'cursor-غزة');
  });
}

test('one failure alone, of a gateway that was just starting, changes nothing', async () => {
  gateway.probe = 204;
  FakeWebSocket.last.closeWith(1006);
  await settle();
  confirm();
  FakeWebSocket.last.closeWith(1006);
  clock.advance(30_000);
  FakeWebSocket.last.closeWith(1006);
  await settle();
  assert.deepEqual(gateway.streams, []);
});

test('a WebSocket that neither opens nor fails counts as failed after 10 s', async () => {
  gateway.probe = 204;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    clock.advance(10_000);
    connection.checkSilence();
    await settle();
  }
  assert.equal(gateway.streams.length, 1);
});

test('over events the key is a header, and a wrong one is asked for again', async () => {
  state.access.key = 'wrong';
  const stream = await fallBack(204);
  assert.deepEqual(stream.headers, { Authorization: 'Bearer wrong' });
  stream.refuse(401, { detail: 'an API key is needed' });
  await settle();
  assert.deepEqual(state.access, { key: '', asking: true, refused: true });
  assert.ok(stream.signal.aborted || clock.waits.length === 0);
});

test('over events a refusal shows the reason, and a refused cursor is dropped', async () => {
  let stream = await fallBack(204);
  stream.refuse(429, { detail: 'one address may have 3 connections at a time', code: 'too_many' });
  await settle();
  assert.deepEqual(state.status, {
    name: 'refused', values: { reason: 'one address may have 3 connections at a time' },
  });
  clock.advance(30_000);
  stream = gateway.streams.at(-1);
  stream.refuse(410, { detail: 'too old', code: 'cursor_too_old' });
  await settle();
  assert.deepEqual(gateway.streams.at(-1).query, { type: 'article', duplicates: 'show' });
});

test('over events a change of filter opens another stream at the same place', async () => {
  const stream = await fallBack(204);
  stream.open();
  stream.send(`data: ${JSON.stringify(HEARTBEAT)}\n\n`);
  await settle();
  state.setLanguage('ar');
  assert.ok(stream.signal.aborted);
  assert.deepEqual(gateway.streams.at(-1).query, { type: 'article', duplicates: 'show', language: 'ar', cursor: 'later' });
});

test('other values of the filters begin again with the last minutes', () => {
  confirm();
  FakeWebSocket.last.frame(article('a'));
  state.setSelection({ source: ['الجزيرة', 'RFI'] });
  assert.equal(state.articles.size, 0);
  assert.deepEqual(FakeWebSocket.last.query, {
    source: 'الجزيرة,RFI', type: 'article', duplicates: 'show', since: '2026-03-01T11:55:00.000Z',
  });
});
