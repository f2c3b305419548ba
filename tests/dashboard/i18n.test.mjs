// i18n.js: texts with their values, numbers, times, names and directions of languages.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import {
  directionOf, formats, languageName, listSeparator, otherUiLanguage, preferredUiLanguage, relativeTime, setUiLanguage,
  t, ui,
} from '../../api/dashboard/i18n.js';
import { state } from '../../api/dashboard/state.js';

beforeEach(() => setUiLanguage('en', 'en-GB'));

test('the language follows the choice, the region follows the browser', () => {
  assert.deepEqual(ui, { language: 'en', locale: 'en-GB' });
  setUiLanguage('ar', 'ar-EG');
  assert.deepEqual(ui, { language: 'ar', locale: 'ar-EG' });
  setUiLanguage('ar', 'en-GB');
  assert.deepEqual(ui, { language: 'ar', locale: 'ar' });
  for (const unknown of ['fr', '', 'toString']) {
    setUiLanguage(unknown, 'fr-FR');
    assert.deepEqual(ui, { language: 'en', locale: 'en' });
  }
});

test('a change of language is emitted after the formats are there', () => {
  const seen = [];
  state.on('language-changed', () => seen.push(t('revision', { n: 1234 })));
  setUiLanguage('ar', 'ar-EG');
  assert.deepEqual(seen, ['المراجعة ١٬٢٣٤']);
});

test('the first language is the browser’s, the button offers the other', () => {
  assert.equal(preferredUiLanguage('ar-MA'), 'ar');
  assert.equal(preferredUiLanguage('fr-FR'), 'en');
  assert.equal(otherUiLanguage(), 'ar');
  setUiLanguage('ar', 'ar');
  assert.equal(otherUiLanguage(), 'en');
});

test('values fill the placeholders: numbers are formatted, text is taken as it is', () => {
  assert.equal(t('summary', { n: 12345, title: 'A {n} $& title' }), 'New articles: 12,345. Latest: A {n} $& title');
  assert.equal(t('trendCounts', { n: 20, expected: formats.decimal.format(2.54) }), '20 instead of 2.5');
  assert.equal(t('live'), 'Live');
});

test('relative times are seconds, minutes, hours, days', () => {
  const now = Date.parse('2026-03-01T12:00:00Z');
  const ago = (seconds) => relativeTime(now - seconds * 1000, now);
  assert.equal(ago(4), 'now');
  assert.match(ago(40), /^40 sec/);
  assert.match(ago(150), /^2 min/);
  assert.match(ago(2 * 3600 + 1800), /^2 hr/);
  assert.match(ago(3 * 86400), /^3 days? ago/);
});

test('languages have names where Intl knows them', () => {
  assert.equal(languageName('ar'), 'Arabic');
  assert.equal(languageName(''), '');
  assert.equal(languageName('und'), 'und');
  assert.equal(languageName('not a code'), 'not a code');
  setUiLanguage('ar', 'ar');
  assert.equal(languageName('fr'), 'الفرنسية');
  assert.equal(listSeparator(), '، ');
});

test('the direction of a language ignores its region', () => {
  for (const language of ['ar', 'ar-EG', 'AR', 'fa', 'he', 'ckb']) assert.equal(directionOf(language), 'rtl', language);
  for (const language of ['en', 'fr-FR', '', null, undefined]) assert.equal(directionOf(language), 'ltr');
});
