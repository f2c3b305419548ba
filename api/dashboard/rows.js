// One row of the list: an article's title, source, time, near-duplicate mark and entities.

import { contentElement, element, makeLink, metaPart, uiElement } from './dom.js';
import { directionOf, formats, languageName, relativeTime, t } from './i18n.js';
import { state } from './state.js';

const MAX_CHIPS = 8;
const MAX_TOPICS = 3;

// { article, item, time, chips }: the article, the list item, and the elements in it that are updated later.
export function makeRow(article) {
  const item = element('li', article.duplicateOf ? 'article duplicate' : 'article');
  item.id = rowId(article.id);
  item.dir = directionOf(article.language);
  const time = makeTime(article.moment);
  const chips = article.entities.map((entity) => makeChip(entity, article.language));
  item.append(makeTitle(article), makeMeta(article, time));
  if (article.duplicateOf) item.append(makeDuplicateMark(article));
  if (chips.length) item.append(makeChipList(chips));
  return { article, item, time, chips };
}

export function updateTime({ article, time }) {
  if (!time) return;
  const text = relativeTime(article.moment);
  if (time.textContent !== text) time.textContent = text;
}

// Shows on each entity whether it is the focus.
export function markChips({ chips }) {
  for (const chip of chips) chip.setAttribute('aria-pressed', String(state.isFocus('entity', chip.dataset.id)));
}

function rowId(id) {
  return `article-${id}`;
}

function makeTitle(article) {
  const text = article.title || t('untitled');
  const title = contentElement('h3', 'title', text, article.language);
  if (article.url) title.replaceChildren(makeLink(article.url, text));
  return title;
}

function makeMeta(article, time) {
  const meta = element('p', 'meta');
  if (article.source) meta.append(metaPart(contentElement('span', 'source', article.source)));
  if (article.language) meta.append(metaPart(uiElement('span', 'language', languageName(article.language))));
  if (time) meta.append(metaPart(time));
  if (article.revision > 1) meta.append(uiElement('span', 'revision', t('revision', { n: article.revision })));
  for (const label of article.topics.slice(0, MAX_TOPICS)) meta.append(contentElement('span', 'topic', label));
  return meta;
}

function makeTime(moment) {
  if (moment === null) return null;
  const time = uiElement('time', 'time', relativeTime(moment));
  time.dateTime = new Date(moment).toISOString();
  time.title = formats.dateTime.format(moment);
  return time;
}

// A link to the original where it is in the list, otherwise its id.
function makeDuplicateMark(article) {
  const mark = element('p', 'duplicate-mark');
  mark.append(uiElement('span', '', t('duplicateOf')), ' ');
  const original = state.articles.get(article.duplicateOf);
  if (original) {
    const link = contentElement('a', '', original.title || t('untitled'), original.language);
    link.href = `#${encodeURIComponent(rowId(original.id))}`;
    mark.append(link);
  } else {
    mark.append(contentElement('span', 'id', article.duplicateOf));
  }
  return mark;
}

function makeChip(entity, language) {
  const chip = contentElement('button', 'chip kind', entity.name, language);
  chip.type = 'button';
  chip.dataset.kind = entity.type;
  chip.dataset.id = entity.id;
  chip.title = t(entity.type);
  chip.addEventListener('click', () => state.toggleFocus({ kind: 'entity', id: entity.id, name: entity.name }));
  return chip;
}

function makeChipList(chips) {
  const list = element('div', 'chips');
  list.append(...chips.slice(0, MAX_CHIPS));
  const rest = chips.slice(MAX_CHIPS);
  if (rest.length) list.append(makeMoreButton(rest));
  return list;
}

function makeMoreButton(rest) {
  const button = element('button', 'chip more', `+${formats.number.format(rest.length)}`);
  button.type = 'button';
  button.setAttribute('aria-label', t('moreEntities', { n: rest.length }));
  button.addEventListener('click', () => {
    button.replaceWith(...rest);
    rest[0].focus();
  });
  return button;
}
