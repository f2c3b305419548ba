// parse.js: the gateway's JSON becomes what the page keeps; bad fields become empty values.

import assert from 'node:assert/strict';
import test from 'node:test';

import {
  clip, excerpt, firstValidDate, parseArticle, parseCompleteness, parseItems, parseLine, parsePoints, parseStories,
  parseTrends, webAddress,
} from '../../api/dashboard/parse.js';

test('an article keeps what its row shows, and not its text', () => {
  const article = parseArticle({
    time: '2026-03-01T12:00:02Z',
    data: {
      id: 'a1',
      revision: 2,
      title: 'عنوان',
      text: 'نص',
      url: 'https://example.org/1',
      source: 'الجزيرة',
      language: 'ar',
      published_at: '2026-03-01T11:00:00Z',
      received_at: '2026-03-01T12:00:00Z',
      entities: [{ id: 'Q1', name: 'غزة', type: 'LOC', mentions: [] }],
      topics: [{ id: 'politics', label: 'Politics', score: 0.9 }],
      duplicate_of: 'a0',
      story: 's1',
    },
  });
  assert.deepEqual(article, {
    id: 'a1',
    revision: 2,
    title: 'عنوان',
    url: 'https://example.org/1',
    source: 'الجزيرة',
    language: 'ar',
    moment: Date.parse('2026-03-01T11:00:00Z'),
    entities: [{ id: 'Q1', name: 'غزة', type: 'LOC' }],
    topics: ['Politics'],
    topicIds: ['politics'],
    duplicateOf: 'a0',
    story: 's1',
  });
});

test('fields that are missing or have the wrong type become empty values', () => {
  for (const data of [{ id: 7 }, { id: 7, text: 5, url: 'nowhere', entities: 'x', topics: [null, 3], published_at: 'soon' }]) {
    const article = parseArticle({ data });
    assert.equal(article.id, '7');
    assert.equal(article.revision, 1);
    assert.equal(article.title, '');
    assert.equal(article.url, null);
    assert.equal(article.moment, null);
    assert.deepEqual([article.entities, article.topics, article.topicIds], [[], [], []]);
    assert.deepEqual([article.duplicateOf, article.story], [null, null]);
  }
});

test('an article without a title is shown with the first words of its text', () => {
  const text = Array.from({ length: 40 }, (_, number) => `word${number}`).join(' ');
  assert.equal(parseArticle({ data: { id: 'a', text } }).title, `${text.split(' ').slice(0, 24).join(' ')}…`);
  assert.equal(excerpt('  two words '), 'two words');
  assert.equal(excerpt('x'.repeat(1000)), `${'x'.repeat(300)}…`);
});

test('an article has each entity once; an unknown type counts as MISC', () => {
  const entities = [
    { id: 'Q1', name: 'a', type: 'PER' },
    { id: 'Q1', name: 'a', type: 'PER' },
    { id: 'Q2', type: '<b>' },
    { id: null, name: 'no id' },
  ];
  assert.deepEqual(parseArticle({ data: { id: 'a', entities } }).entities, [
    { id: 'Q1', name: 'a', type: 'PER' },
    { id: 'Q2', name: 'Q2', type: 'MISC' },
  ]);
});

test('only http and https are links', () => {
  assert.equal(webAddress('https://example.org/a b'), 'https://example.org/a%20b');
  assert.equal(webAddress('http://example.org'), 'http://example.org/');
  for (const bad of ['javascript:alert(1)', 'data:text/html,x', '/relative', '', null, undefined, 5]) {
    assert.equal(webAddress(bad), null, String(bad));
  }
});

test('text is cut at a length, never within a surrogate pair', () => {
  assert.equal(clip('abc', 3), 'abc');
  assert.equal(clip('abcd', 3), 'abc…');
  assert.equal(clip('ab😀cd', 3), 'ab…');
  assert.equal(clip('ab😀cd', 4), 'ab😀…');
});

test('the first valid date counts', () => {
  const moment = Date.parse('2026-03-01T12:00:00Z');
  assert.equal(firstValidDate(null, 'never', '2026-03-01T12:00:00Z', '2020-01-01T00:00:00Z'), moment);
  assert.equal(firstValidDate(undefined, ''), null);
});

test('a line that is blank or not JSON is null', () => {
  assert.deepEqual(parseLine('{"type":"heartbeat"}'), { type: 'heartbeat' });
  for (const line of ['', '  ', '{"type":', 'hello']) assert.equal(parseLine(line), null);
});

test('rows of aggregates and points of a time series are counts', () => {
  assert.deepEqual(parseItems({ items: [{ id: 'ar', count: 3 }, { id: 'Q1', name: 'غزة', count: '2' }, 'x'] }), [
    { id: 'ar', name: '', count: 3 },
    { id: 'Q1', name: 'غزة', count: 2 },
  ]);
  assert.deepEqual(parsePoints({ points: [{ time: '2026-03-01T12:00:00Z', count: 4 }] }), [
    { time: Date.parse('2026-03-01T12:00:00Z'), count: 4 },
  ]);
  for (const parse of [parseItems, parsePoints, parseTrends, parseStories]) assert.deepEqual(parse({}), []);
});

test('a trend is shown once, in its first known window; at most eight are shown', () => {
  const trend = { kind: 'entity', id: 'Q1', name: 'غزة', window: '1h', count: 20, expected: 2.5 };
  const trends = parseTrends({ trends: [{ ...trend, window: '7d' }, trend, { ...trend, window: '15m' }] });
  assert.deepEqual(trends, [
    { id: 'entity:Q1', kind: 'entity', subject: 'Q1', name: 'غزة', window: '1h', count: 20, expected: 2.5 },
  ]);
  assert.deepEqual(parseTrends({ trends: [{ ...trend, window: 'toString' }] }), []);
  const many = Array.from({ length: 20 }, (_, number) => ({ ...trend, id: `Q${number}` }));
  assert.equal(parseTrends({ trends: many }).length, 8);
});

test('stories come as an object or as a list; sources as a list or as a number', () => {
  const story = { id: 's1', title: 'قصة', languages: ['ar'], size: 3, sources: ['a', 'b'], articles: ['a1'] };
  const parsed = { ...story, sources: 2 };
  assert.deepEqual(parseStories({ stories: [story] }), [parsed]);
  assert.deepEqual(parseStories({ items: [story] }), [parsed]);
  assert.deepEqual(parseStories([{ ...story, sources: 2 }]), [parsed]);
});

test('completeness counts only within the window of the answer', () => {
  const since = '2026-03-01T11:00:00Z';
  const later = '2026-03-01T11:30:00Z';
  const earlier = '2026-03-01T10:00:00Z';
  const completeFrom = Date.parse(later);
  assert.equal(parseCompleteness({ stories: [] }), null);
  assert.deepEqual(parseCompleteness({ rebuilding: true, complete_since: null, since }), { rebuilding: true, completeFrom: null });
  assert.deepEqual(parseCompleteness({ rebuilding: false, complete_since: later, since }), { rebuilding: false, completeFrom });
  assert.deepEqual(parseCompleteness({ rebuilding: false, complete_since: earlier, since }), { rebuilding: false, completeFrom: null });
  // A time series has no `since`: its first point is the beginning.
  const points = [{ time: since, count: 1 }];
  assert.deepEqual(parseCompleteness({ rebuilding: false, complete_since: later, points }), { rebuilding: false, completeFrom });
});
