// words.js: every text in both languages; and the texts that the pages and the modules ask for.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { WORDS } from '../../api/dashboard/words.js';

const folder = new URL('../../api/dashboard/', import.meta.url);
const pages = readdirSync(folder).filter((name) => name.endsWith('.html'));
const page = pages.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
const modules = readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'words.js');
const code = modules.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
const placeholders = (text) => (text.match(/\{\w+\}/g) ?? []).sort();

test('English and Arabic have the same keys with the same placeholders', () => {
  assert.deepEqual(Object.keys(WORDS), ['en', 'ar']);
  assert.deepEqual(Object.keys(WORDS.en), Object.keys(WORDS.ar));
  for (const [key, text] of Object.entries(WORDS.en)) {
    assert.ok(text && WORDS.ar[key], key);
    assert.deepEqual(placeholders(WORDS.ar[key]), placeholders(text), key);
  }
});

test('Arabic texts are Arabic', () => {
  for (const [key, text] of Object.entries(WORDS.ar)) {
    if (key !== 'otherLanguage') assert.match(text, /\p{Script=Arabic}/u, key);
  }
});

test('every key that a page or a module names exists, and every key is used', () => {
  const named = new Set([...page.matchAll(/data-(?:text|label)="(\w+)"/g), ...code.matchAll(/\bt\('(\w+)'/g)].map((match) => match[1]));
  assert.ok(named.size > 30);
  for (const key of named) assert.ok(key in WORDS.en, key);
  // The names of filters are looked up by the gateway's table, those of states by the state of a feed.
  const keys = Object.keys(WORDS.en).filter((key) => !/^(filter|status)_/.test(key));
  const unused = keys.filter((key) => !named.has(key) && !new RegExp(`\\b${key}\\b`).test(code));
  assert.deepEqual(unused, []);
});
