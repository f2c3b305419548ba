// table.js: the gateway's table of filters, and the page's address.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fieldsOf, loadTable, parseQuery, writeQuery } from '../../api/dashboard/table.js';

const TABLE = [
  { name: 'type', values: ['article'], pattern: '' },
  { name: 'language', values: [], pattern: '[a-z]{2,3}' },
  { name: 'source', values: [], pattern: '' },
  { name: 'topic', values: [], pattern: 'medtop:\\w+' },
  { name: 'mood', values: ['good', 'bad'], pattern: '' },
  { name: 'duplicates', values: ['hide', 'show'], default: 'hide' },
];

test('every filter that the page has no control for gets a field, also one that the page does not know', () => {
  assert.deepEqual(fieldsOf(TABLE).map(({ name }) => name), ['source', 'topic', 'mood']);
});

test('the address sets filters: repeated or comma-separated, and only with valid values', () => {
  const found = parseQuery('?source=a, b&source=c&topic=medtop:1,x&mood=ugly&language=ar&duplicates=hide&other=1', TABLE);
  assert.deepEqual(found, {
    selection: { source: ['a', 'b', 'c'], topic: ['medtop:1'] },
    rejected: ['topic', 'mood'],
    language: 'ar',
    hideDuplicates: true,
  });
  assert.deepEqual(parseQuery('?language=Arabic!', TABLE).rejected, ['language']);
});

test('what is chosen is written to the address, from which it is read again', () => {
  const selection = { source: ['الجزيرة'], mood: ['good'] };
  const query = writeQuery({ focus: { kind: 'topic', id: 'medtop:1' }, language: 'ar', hideDuplicates: true, selection });
  assert.deepEqual(parseQuery(`?${query}`, TABLE), {
    selection: { ...selection, topic: ['medtop:1'] }, rejected: [], language: 'ar', hideDuplicates: true,
  });
  assert.equal(writeQuery({ focus: null, language: '', hideDuplicates: false, selection: {} }), '');
});

test('without the table the page has no further fields', async () => {
  assert.deepEqual(await loadTable(async () => { throw new TypeError('no network'); }), []);
  assert.deepEqual(await loadTable(async () => ({ json: async () => ({}) })), []);
  assert.deepEqual(await loadTable(async () => ({ json: async () => ({ filters: TABLE }) })), TABLE);
});
