// events.js: server-sent events as a WebSocket; connection.test.mjs shows the two together.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EventStream } from '../../api/dashboard/events.js';
import { FakeGateway, settle } from './fakes.mjs';

function opened() {
  const gateway = new FakeGateway();
  const events = new EventStream('https://news.example/v1/events', { key: '', fetch: gateway.fetch });
  const seen = [];
  for (const name of ['open', 'message', 'close']) {
    events.addEventListener(name, (event) => seen.push([name, event.data ?? event.code]));
  }
  return { events, seen, stream: gateway.streams[0] };
}

test('data is passed on line by line, once its line is complete', async () => {
  const { events, seen, stream } = opened();
  stream.open();
  stream.send('retry: 2000\n\nid: a\nevent: article\ndata: {"n":1}\n\nid: b\nda');
  stream.send('ta: {"n":2}\n\n');
  await settle();
  assert.deepEqual(seen, [['open', undefined], ['message', '{"n":1}'], ['message', '{"n":2}']]);
  assert.equal(events.readyState, EventStream.OPEN);
});

test('the end of the stream and a failing gateway are lost connections', async () => {
  const first = opened();
  first.stream.open();
  first.stream.end();
  const second = opened();
  second.stream.refuse(502, {});
  await settle();
  assert.deepEqual(first.seen.at(-1), ['close', 1006]);
  assert.deepEqual(second.seen, [['close', 1006]]);
});

test('a refusal is an error and a close with the code that a WebSocket has for it', async () => {
  for (const [status, code] of [[401, 4401], [403, 4403], [429, 4429], [400, 4400], [431, 4400]]) {
    const { seen, stream } = opened();
    stream.refuse(status, { detail: 'no', code: 'some_code' });
    await settle();
    assert.deepEqual(seen, [['message', '{"type":"error","code":"some_code","message":"no"}'], ['close', code]]);
  }
});

test('after close() nothing more is heard of it', async () => {
  const { events, seen, stream } = opened();
  events.close();
  stream.refuse(500, {});
  await settle();
  assert.deepEqual(seen, []);
});
