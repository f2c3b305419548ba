// The page's elements (of index.html; feeds.html has some of them), and how new ones are made.
// Text from outside enters the page through textContent only.

import { directionOf, otherUiLanguage, t, ui } from './i18n.js';

const RTL_LETTER = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Thaana}]/u;

export const byId = (id) => document.getElementById(id);

export const page = {
  status: byId('status'),
  statusText: byId('status-text'),
  rate: byId('rate'),
  uiLanguage: byId('ui-language'),
  keySection: byId('key-section'),
  keyForm: byId('key-form'),
  keyInput: byId('key-input'),
  keyMessage: byId('key-message'),
  languageFilter: byId('language-filter'),
  hideDuplicates: byId('hide-duplicates'),
  pause: byId('pause'),
  waiting: byId('waiting'),
  moreFilters: byId('more-filters'),
  filterForm: byId('filter-form'),
  filterFields: byId('filter-fields'),
  filtersRejected: byId('filters-rejected'),
  clearFocus: byId('clear-focus'),
  focusName: byId('focus-name'),
  completeness: byId('completeness'),
  empty: byId('empty'),
  articles: byId('articles'),
  side: byId('side'),
  summary: byId('summary'),
};

// The texts that index.html names by their keys, and the page's language and direction.
export function translateDocument() {
  document.documentElement.lang = ui.language;
  document.documentElement.dir = directionOf(ui.language);
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll('[data-label]')) node.setAttribute('aria-label', t(node.dataset.label));
  page.uiLanguage.textContent = t('otherLanguage');
  page.uiLanguage.lang = otherUiLanguage();
}

export function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// An element for text from outside: with the text's own direction and language, not the page's.
export function contentElement(name, className, text, language) {
  const node = element(name, className, text);
  node.dir = 'auto';
  if (language) node.lang = language;
  // dir=auto looks at the first letter only: «OPEC+ تخفض الإنتاج» would become left-to-right.
  if (directionOf(language) === 'rtl' && RTL_LETTER.test(text)) node.classList.add('rtl');
  return node;
}

// An element for the page's own text in a row that may have another direction than the page.
export function uiElement(name, className, text) {
  return contentElement(name, className, text, ui.language);
}

// The separator between parts has the row's direction, so it belongs to a wrapper without a direction.
export function metaPart(child) {
  const wrapper = element('span', 'part');
  wrapper.append(child);
  return wrapper;
}

export function makeLink(address, text) {
  const link = element('a', '', text);
  link.href = address;
  link.target = '_blank';
  link.rel = 'noopener noreferrer';
  return link;
}

// A screen reader reads a live region again whenever it is written, even with the same text.
export function setLiveText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
