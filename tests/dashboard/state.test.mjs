// state.js: what the page knows, and the events of its changes.

import assert from 'node:assert/strict';
import test from 'node:test';

import { parseArticle } from '../../api/dashboard/parse.js';
import { State } from '../../api/dashboard/state.js';

const NAMES = [
  'status-changed', 'articles-changed', 'filter-changed', 'visibility-changed', 'key-required', 'key-accepted',
  'result-changed', 'completeness-changed',
];

// A state and the events it has emitted so far.
function recorded() {
  const state = new State();
  const events = [];
  for (const name of NAMES) state.on(name, (detail) => events.push(detail === null ? name : [name, detail]));
  return { state, events };
}

function article(id, fields = {}) {
  return parseArticle({ data: { id, revision: 1, title: id, language: 'ar', ...fields } });
}

test('a new revision replaces the article and moves it to the newest end; an older one is ignored', () => {
  const { state, events } = recorded();
  for (const id of ['a', 'b']) state.addArticle(article(id), true);
  state.addArticle(article('a', { revision: 2, title: 'newer' }), true);
  state.addArticle(article('a', { revision: 1 }), true);
  state.addArticle(article('a', { revision: 2 }), true);
  assert.deepEqual([...state.articles.values()].map(({ id, title }) => [id, title]), [['b', 'b'], ['a', 'newer']]);
  assert.deepEqual(events, ['articles-changed', 'articles-changed', 'articles-changed']);
  assert.deepEqual(state.arrivals, { sinceTick: 3, sinceSummary: 3, latestTitle: 'newer' });
});

test('the newest 200 articles are kept', () => {
  const { state } = recorded();
  for (let number = 0; number < 250; number += 1) state.addArticle(article(`a${number}`), true);
  assert.equal(state.articles.size, 200);
  assert.equal([...state.articles.keys()][0], 'a50');
});

test('articles from before the page was opened do not count as arrivals', () => {
  const { state } = recorded();
  state.addArticle(article('a'), false);
  assert.equal(state.articles.size, 1);
  assert.equal(state.arrivals.sinceTick, 0);
});

test('the filters decide together which articles are shown', () => {
  const { state, events } = recorded();
  const shown = article('a', { entities: [{ id: 'Q1' }], topics: [{ id: 'sport' }], story: 's1' });
  const duplicate = article('b', { duplicate_of: 'a', story: 's1' });
  const french = article('c', { language: 'fr', story: 's1' });
  const visible = () => [shown, duplicate, french].filter((one) => state.isShown(one)).map(({ id }) => id);
  assert.deepEqual(visible(), ['a', 'b', 'c']);
  state.setHideDuplicates(true);
  assert.deepEqual(visible(), ['a', 'c']);
  state.setLanguage('ar');
  assert.deepEqual(visible(), ['a']);
  state.setHideDuplicates(false);
  for (const [kind, id, expected] of [['entity', 'Q1', ['a']], ['topic', 'sport', ['a']], ['story', 's1', ['a', 'b']], ['entity', 'Q2', []]]) {
    state.setFocus({ kind, id, name: id });
    assert.deepEqual(visible(), expected, kind);
  }
  assert.deepEqual(events.slice(0, 3), ['visibility-changed', 'filter-changed', 'visibility-changed']);
});

test('toggling the focus sets it, replaces it and clears it', () => {
  const { state, events } = recorded();
  const focus = { kind: 'entity', id: 'Q1', name: 'غزة' };
  state.toggleFocus(focus);
  assert.ok(state.isFocus('entity', 'Q1'));
  assert.ok(!state.isFocus('story', 'Q1'));
  state.toggleFocus({ ...focus, id: 'Q2' });
  assert.ok(state.isFocus('entity', 'Q2'));
  state.toggleFocus({ ...focus, id: 'Q2' });
  assert.equal(state.filter.focus, null);
  assert.equal(events.length, 3);
});

test('articles move to the story that has them now', () => {
  const { state, events } = recorded();
  for (const id of ['a', 'b', 'c']) state.addArticle(article(id, { story: 's1' }), true);
  state.assignStories([{ id: 's2', articles: ['a', 'unknown'] }]);
  const stories = () => [...state.articles.values()].map(({ story }) => story);
  assert.deepEqual(stories(), ['s2', 's1', 's1']);
  assert.equal(events.at(-1), 'articles-changed');
  state.moveStory('s1', 's3');
  assert.deepEqual(stories(), ['s2', 's3', 's3']);
});

test('a key that is refused is removed, and a missing one is not called refused', () => {
  const { state, events } = recorded();
  state.requireKey();
  assert.deepEqual(state.access, { key: '', asking: true, refused: false });
  state.acceptKey('secret');
  assert.deepEqual(state.access, { key: 'secret', asking: false, refused: false });
  state.requireKey();
  assert.deepEqual(state.access, { key: '', asking: true, refused: true });
  assert.deepEqual(events, ['key-required', 'key-accepted', 'key-required']);
});

test('items stay when a later request fails', () => {
  const { state, events } = recorded();
  const items = [{ id: 'ar', name: '', count: 3 }];
  state.setResult('language', items, null);
  state.setFailed('language');
  assert.deepEqual(state.results.language, { items, failed: true });
  assert.deepEqual(events, [['result-changed', 'language'], ['result-changed', 'language']]);
});

test('the numbers are complete since the latest moment of any answer', () => {
  const { state } = recorded();
  assert.equal(state.completeSince, null);
  state.setResult('language', [], { rebuilding: true, completeFrom: 5 });
  state.setResult('entity', [], { rebuilding: false, completeFrom: 7 });
  state.setResult('pair', [], { rebuilding: false, completeFrom: null });
  assert.deepEqual([state.isRebuilding, state.completeSince], [true, 7]);
  state.setResult('language', [], { rebuilding: false, completeFrom: null });
  assert.deepEqual([state.isRebuilding, state.completeSince], [false, 7]);
});
