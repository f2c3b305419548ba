// numbers.js: requests for the side column, with a fetch and a clock that the test controls.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { setUiLanguage } from '../../api/dashboard/i18n.js';
import { Numbers } from '../../api/dashboard/numbers.js';
import { parseArticle } from '../../api/dashboard/parse.js';
import { State } from '../../api/dashboard/state.js';
import { FakeClock, FakeFetch, article } from './fakes.mjs';

let clock;
let state;
let hidden;

beforeEach(() => {
  setUiLanguage('en', 'en');
  clock = new FakeClock();
  state = new State();
  hidden = false;
});

function answers(changed = {}) {
  return {
    'v1/timeseries': { points: [{ time: '2026-03-01T11:59:00Z', count: 3 }], rebuilding: false, complete_since: null },
    'v1/trends': { trends: [] },
    'v1/aggregates': { items: [{ id: 'ar', count: 3 }], rebuilding: false, complete_since: null },
    'v1/stories': { stories: [{ id: 's1', title: 'قصة', articles: ['a'], size: 1, sources: ['x'], languages: ['ar'] }] },
    ...changed,
  };
}

function numbersWith(changed) {
  const server = new FakeFetch(answers(changed));
  return { server, numbers: new Numbers({ state, fetch: server.fetch, clock, isHidden: () => hidden }) };
}

function panelRequests(server) {
  return server.requests.filter(({ address }) => address !== 'readyz');
}

test('every panel is asked for, again after five seconds', async () => {
  const { server, numbers } = numbersWith();
  let refreshed = 0;
  state.on('results-refreshed', () => { refreshed += 1; });
  await numbers.refresh();
  assert.equal(panelRequests(server).length, Object.keys(state.results).length);
  for (const [name, { items, failed }] of Object.entries(state.results)) {
    assert.equal(failed, false, name);
    assert.equal(items.length, name === 'trends' ? 0 : 1, name);
  }
  assert.equal(refreshed, 1);
  assert.deepEqual(clock.waits, [5_000]);
  clock.advance(5_000);
  assert.equal(panelRequests(server).length, 14);
});

test('nothing is asked while the page is hidden, while a key is needed, or twice at the same time', async () => {
  const { server, numbers } = numbersWith();
  hidden = true;
  await numbers.refresh();
  hidden = false;
  state.access.asking = true;
  await numbers.refresh();
  assert.deepEqual([server.requests, clock.waits], [[], []]);
  state.access.asking = false;
  await Promise.all([numbers.refresh(), numbers.refresh()]);
  assert.equal(panelRequests(server).length, 7);
  assert.deepEqual(clock.waits, [5_000]);
});

test('a request that fails leaves the items and marks only its panel', async () => {
  const { server, numbers } = numbersWith();
  await numbers.refresh();
  server.answers['v1/trends'] = { status: 500 };
  server.answers['v1/stories'] = new Error('no network');
  await numbers.refresh();
  const failed = Object.keys(state.results).filter((name) => state.results[name].failed);
  assert.deepEqual(failed, ['trends', 'stories']);
  assert.equal(state.results.stories.items.length, 1);
  assert.deepEqual(clock.waits, [5_000]);
});

test('the longest Retry-After delays the next requests, by at most a minute', async () => {
  const { server, numbers } = numbersWith({
    'v1/trends': { status: 503, headers: { 'Retry-After': '20' } },
    'v1/stories': { status: 503, headers: { 'Retry-After': '10' } },
  });
  await numbers.refresh();
  clock.time += 5_000;
  const asked = server.requests.length;
  await numbers.refresh();
  assert.equal(server.requests.length, asked);
  assert.deepEqual(clock.waits, [15_000]);
  server.answers['v1/trends'] = { status: 503, headers: { 'Retry-After': '3600' } };
  clock.time += 15_000;
  await numbers.refresh();
  await numbers.refresh();
  assert.deepEqual(clock.waits, [60_000]);
});

test('the key is sent; one that is refused is asked for once', async () => {
  const { server, numbers } = numbersWith();
  state.access.key = 'secret';
  await numbers.refresh();
  assert.equal(server.requests[0].headers.Authorization, 'Bearer secret');
  for (const path of Object.keys(server.answers)) server.answers[path] = { status: 401 };
  let required = 0;
  state.on('key-required', () => { required += 1; });
  await numbers.refresh();
  assert.equal(required, 1);
  assert.deepEqual(state.access, { key: '', asking: true, refused: true });
});

test('a refusal of the key before says nothing about the new one', async () => {
  const { server, numbers } = numbersWith();
  for (const path of Object.keys(server.answers)) server.answers[path] = { status: 401 };
  state.access.key = 'old';
  const refreshed = numbers.refresh();
  state.access.key = 'new';
  await refreshed;
  assert.deepEqual(state.access, { key: 'new', asking: false, refused: false });
});

test('a new key starts the requests again', async () => {
  const { server } = numbersWith();
  state.requireKey();
  state.acceptKey('secret');
  assert.equal(panelRequests(server).length, 7);
});

test('the progress of a rebuild is known only during one', async () => {
  const { server, numbers } = numbersWith({ readyz: { aggregates: { progress: 0.25 } } });
  await numbers.refresh();
  assert.equal(state.completeness.progress, null);
  server.answers['v1/aggregates'] = { items: [], rebuilding: true, complete_since: null };
  await numbers.refresh();
  assert.deepEqual([state.isRebuilding, state.completeness.progress], [true, 0.25]);
  server.answers.readyz = new Error('no network');
  await numbers.refresh();
  assert.equal(state.completeness.progress, null);
});

test('the gateway is asked every 15 s whether articles pass; connected is not live while they do not', async () => {
  const { server, numbers } = numbersWith({ readyz: { ready: true, checks: { kafka: 'ok', ingest: 'ok', store: 'ok' } } });
  state.setStatus('live');
  const asked = () => server.requests.length - panelRequests(server).length;
  for (let seconds = 0; seconds < 15; seconds += 5) {
    await numbers.refresh();
    clock.time += 5_000;
  }
  assert.equal(asked(), 1);
  assert.equal(state.shownStatus.name, 'live');
  server.answers.readyz = { status: 503, ready: false, checks: { kafka: 'no answer', ingest: 'ok', store: 'ok' } };
  await numbers.refresh();
  assert.equal(asked(), 2);
  assert.deepEqual(state.shownStatus, { name: 'stalled', values: { reasons: 'kafka: no answer' } });
  state.setStatus('away', { seconds: 1 });
  assert.equal(state.shownStatus.name, 'away');
});

test('requests go on after an answer that could not be shown', async () => {
  const { server, numbers } = numbersWith();
  state.assignStories = () => { throw new Error('a fault of the page'); };
  await assert.rejects(numbers.refresh(), /a fault of the page/);
  delete state.assignStories;
  const before = server.requests.length;
  assert.deepEqual(clock.waits, [5_000]);
  clock.advance(5_000);
  assert.ok(server.requests.length > before);
});

test('articles move to the stories that have them now, and so does the focus', async () => {
  state.addArticle(parseArticle(article('a', { story: 'old' })), true);
  state.addArticle(parseArticle(article('b', { story: 'old' })), true);
  state.setFocus({ kind: 'story', id: 'old', name: 'قديمة' });
  const { numbers } = numbersWith({ 'v1/stories/old': { id: 's1', title: '', articles: ['a'] } });
  await numbers.refresh();
  assert.deepEqual([...state.articles.values()].map(({ story }) => story), ['s1', 's1']);
  assert.deepEqual(state.filter.focus, { kind: 'story', id: 's1', name: 'Untitled' });
});

test('a focus that was changed meanwhile is left alone', async () => {
  const { numbers } = numbersWith({ 'v1/stories/old': { id: 's1', title: 'x', articles: [] } });
  state.setFocus({ kind: 'story', id: 'old', name: 'قديمة' });
  const entity = { kind: 'entity', id: 'Q1', name: 'غزة' };
  // Between the request and its answer.
  state.on('completeness-changed', () => queueMicrotask(() => { state.filter.focus = entity; }));
  await numbers.refresh();
  assert.equal(state.filter.focus, entity);
});
