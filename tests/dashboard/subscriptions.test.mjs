// subscriptions.js: requests about feeds, their answers as objects of the page, and refusals.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { State } from '../../api/dashboard/state.js';
import { Refusal, Subscriptions } from '../../api/dashboard/subscriptions.js';

const FEED = {
  id: 'f1', url: 'https://a.example/rss', status: 'failing', title: null, source: 'a.example', language: null,
  succeeded: '2026-03-01T12:00:00Z', next_poll: null, error: 'HTTP status 500', failures: 3, articles_per_day: 1.5,
  rejected: 0, moved_to: null, problems: ['encoding: …'], origin: 'file',
};

let state;
let requests;
let answer;
let subscriptions;

beforeEach(() => {
  state = new State();
  requests = [];
  answer = { status: 200, body: FEED };
  const fetch = async (address, options) => {
    requests.push({ address, ...options });
    if (answer instanceof Error) throw answer;
    const { status, body } = answer;
    return {
      status, ok: status < 400, json: async () => structuredClone(body), blob: async () => new Blob([body]),
    };
  };
  subscriptions = new Subscriptions({ state, fetch });
});

test('a page of feeds, by state', async () => {
  answer.body = { feeds: [FEED], total: 7, counts: { failing: 7, ok: 1 } };
  const { feeds, total, counts } = await subscriptions.list({ status: 'failing', limit: 100 });
  assert.equal(requests[0].address, 'v1/feeds?limit=100&status=failing');
  assert.deepEqual([total, counts], [7, { failing: 7, ok: 1 }]);
  assert.deepEqual(feeds, [{
    id: 'f1', url: FEED.url, status: 'failing', name: 'a.example', source: 'a.example', language: '',
    readAt: Date.parse(FEED.succeeded), nextAt: null, error: FEED.error, failures: 3, perDay: 1.5, rejected: 0,
    movedTo: '', problems: FEED.problems, isOfFile: true,
  }]);
  await subscriptions.list({ status: '', limit: 100 });
  assert.equal(requests[1].address, 'v1/feeds?limit=100');
});

test('an address is added with the settings that are given', async () => {
  await subscriptions.add('a.example', { source: '', language: 'ar', full_text: false, password: '' });
  const [{ method, address, body, headers }] = requests;
  assert.deepEqual([method, address], ['POST', 'v1/feeds']);
  assert.deepEqual(JSON.parse(body), { url: 'a.example', language: 'ar' });
  assert.deepEqual(headers, { 'Content-Type': 'application/json' });
});

test('a feed is changed, polled and removed', async () => {
  await subscriptions.change('f1', { paused: true });
  await subscriptions.poll('f1');
  await subscriptions.remove('f/1');
  assert.deepEqual(requests.map(({ method, address }) => `${method} ${address}`), [
    'PATCH v1/feeds/f1', 'POST v1/feeds/f1/poll', 'DELETE v1/feeds/f%2F1',
  ]);
});

test('a list goes in as it is, and what is wrong in it comes back', async () => {
  const wrong = { place: 'line 3', url: 'x', outcome: 'invalid', error: 'no address' };
  answer.body = { added: 1, known: 2, invalid: 1, feeds: [{ outcome: 'added' }, wrong] };
  const file = new Blob(['https://a.example']);
  assert.deepEqual(await subscriptions.importList(file), {
    added: 1, known: 2, invalid: 1, wrong: ['line 3: x no address'],
  });
  assert.equal(requests[0].body, file);
  assert.equal(requests[0].headers['Content-Type'], 'application/octet-stream');
  answer.body = '<opml/>';
  assert.equal(await (await subscriptions.exportList()).text(), '<opml/>');
});

test('a page with several feeds is a refusal with the candidates', async () => {
  const feeds = [{ url: 'https://a.example/1', title: null, format: 'RSS 2.0', entries: 3, newest: null }];
  answer = { status: 409, body: { detail: 'several', code: 'several_feeds', feeds } };
  await assert.rejects(subscriptions.add('https://a.example'), (refusal) => {
    assert.ok(refusal instanceof Refusal);
    assert.deepEqual([refusal.status, refusal.code, refusal.message], [409, 'several_feeds', 'several']);
    assert.deepEqual(refusal.candidates, [
      { url: 'https://a.example/1', name: 'https://a.example/1', format: 'RSS 2.0', entries: 3 },
    ]);
    return true;
  });
});

test('a gateway that does not answer, or answers otherwise, is a refusal', async () => {
  answer = new TypeError('no network');
  await assert.rejects(subscriptions.poll('f1'), { status: 0, message: '' });
  answer = { status: 502, body: '<html>' };
  await assert.rejects(subscriptions.poll('f1'), { status: 502, message: '' });
});

test('the key is sent, and asked for when it is refused', async () => {
  state.acceptKey('secret');
  await subscriptions.poll('f1');
  assert.equal(requests[0].headers.Authorization, 'Bearer secret');
  answer = { status: 401, body: { detail: 'a key is needed' } };
  await assert.rejects(subscriptions.poll('f1'), { status: 401 });
  assert.equal(state.access.asking, true);
});
