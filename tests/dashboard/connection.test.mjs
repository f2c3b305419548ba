// connection.js: subscribing, resuming, reconnecting and refusals, with a WebSocket and a clock that the test controls.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Connection } from '../../api/dashboard/connection.js';
import { State } from '../../api/dashboard/state.js';
import { FakeClock, FakeWebSocket, article } from './fakes.mjs';

const HEARTBEAT = { type: 'heartbeat', cursor: 'later' };
let clock;
let state;
let connection;

beforeEach(() => {
  FakeWebSocket.all = [];
  clock = new FakeClock();
  state = new State();
  connection = new Connection({
    state,
    WebSocket: FakeWebSocket,
    location: { href: 'https://news.example/', protocol: 'https:' },
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
    state, WebSocket: FakeWebSocket, location: { href: 'http://x/', protocol: 'http:' }, clock, random: () => 0,
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
