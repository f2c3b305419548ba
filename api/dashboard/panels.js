// The side column: the articles of each minute, trends, bars by language, source, entity and pair, and stories.
// A panel has show(), which shows its result in the state, and mark(), which shows which of its buttons is the focus.

import { contentElement, element, metaPart, uiElement } from './dom.js';
import { formats, languageName, listSeparator, t } from './i18n.js';
import { TREND_WINDOWS } from './parse.js';
import { state } from './state.js';

const MAX_LINES = 10;

export function startPanels() {
  const nameOf = (item) => item.name || item.id;
  const panels = {
    minutes: minutesPanel(),
    trends: trendPanel(),
    language: barPanel('language', (item) => languageName(item.id)),
    source: barPanel('source', nameOf),
    entity: barPanel('entity', nameOf, 'entity'),
    stories: storyPanel(),
    pair: barPanel('pair', nameOf),
  };
  state.on('result-changed', (name) => panels[name].show());
  state.on('filter-changed', () => {
    for (const panel of Object.values(panels)) panel.mark();
  });
  state.on('language-changed', () => {
    for (const panel of Object.values(panels)) panel.show();
  });
}

// `texts`: the keys of the notes for a failed request and for no items. `make(item)` makes the line of an item,
// `update(line, item, items)` brings it up to date.
function listPanel(name, listClass, texts, make, update) {
  const section = document.getElementById(`panel-${name}`);
  const list = section.querySelector(`.${listClass}`);
  const note = section.querySelector('.note');
  const lines = new Map();
  const panel = {
    show() {
      const { items, failed } = state.results[name];
      section.classList.toggle('stale', failed);
      note.hidden = !failed && items.length > 0;
      note.textContent = t(failed ? texts.failed : texts.empty);
      showLines(list, lines, items.slice(0, MAX_LINES), make, update);
      panel.mark();
    },
    mark() {
      for (const button of list.querySelectorAll('button')) {
        button.setAttribute('aria-pressed', String(state.isFocus(button.dataset.focus, button.dataset.id)));
      }
    },
  };
  return panel;
}

// Lines are kept and moved, not rebuilt: a refresh must not take the keyboard focus away.
function showLines(list, lines, items, make, update) {
  const focused = document.activeElement;
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, line] of lines) {
    if (wanted.has(id)) continue;
    line.remove();
    lines.delete(id);
  }
  items.forEach((item, index) => {
    if (!lines.has(item.id)) lines.set(item.id, make(item));
    const line = lines.get(item.id);
    update(line, item, items);
    if (list.children[index] !== line) list.insertBefore(line, list.children[index] ?? null);
  });
  if (list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function barPanel(name, nameOf, focusKind) {
  const make = (item) => {
    const line = element('li', 'bar');
    const label = focusKind ? makeFocusButton(focusKind, item.id, nameOf(item)) : contentElement('span', 'name');
    line.append(label, element('span', 'count'), element('span', 'track'));
    line.lastChild.append(element('span', 'fill'));
    return line;
  };
  const update = (line, item, items) => {
    line.querySelector('.name').textContent = nameOf(item);
    line.querySelector('.count').textContent = formats.number.format(item.count);
    const most = Math.max(1, ...items.map((other) => other.count));
    line.querySelector('.fill').style.inlineSize = `${(100 * item.count) / most}%`;
  };
  return listPanel(name, 'bars', { failed: 'unavailable', empty: 'noItems' }, make, update);
}

// A bar for each minute, in the page's reading direction. The last minute is not over yet.
function minutesPanel() {
  const section = document.getElementById('panel-minutes');
  const chart = section.querySelector('.minutes');
  const note = section.querySelector('.note');
  return {
    show() {
      const { items, failed } = state.results.minutes;
      const counts = items.map((point) => point.count);
      const most = Math.max(0, ...counts);
      section.classList.toggle('stale', failed);
      note.hidden = !failed;
      note.textContent = t('unavailable');
      while (chart.children.length > counts.length) chart.lastChild.remove();
      while (chart.children.length < counts.length) chart.append(element('span', 'minute'));
      counts.forEach((count, index) => {
        chart.children[index].style.blockSize = `${(100 * count) / Math.max(1, most)}%`;
        chart.children[index].title = `${formats.clock.format(items[index].time)} · ${formats.number.format(count)}`;
      });
      chart.setAttribute('aria-label', t('minutesLabel', { most, last: counts.at(-2) ?? 0 }));
    },
    mark() {},
  };
}

function trendPanel() {
  const make = (trend) => {
    const line = element('li', 'trend');
    line.append(makeFocusButton(trend.kind, trend.subject, trend.name), element('p', 'meta'));
    return line;
  };
  const update = (line, trend) => {
    line.querySelector('.name').textContent = trend.name;
    const values = { n: trend.count, expected: formats.decimal.format(trend.expected) };
    line.querySelector('.meta').replaceChildren(
      metaPart(uiElement('span', '', t('trendCounts', values))),
      metaPart(uiElement('span', '', t(TREND_WINDOWS[trend.window]))),
    );
  };
  return listPanel('trends', 'trends', { failed: 'trendsUnavailable', empty: 'noTrends' }, make, update);
}

function storyPanel() {
  const make = (story) => {
    const line = element('li', 'story');
    line.append(makeFocusButton('story', story.id, story.title), element('p', 'meta'));
    return line;
  };
  const update = (line, story) => {
    const button = line.querySelector('.name');
    button.textContent = story.title || t('untitled');
    button.lang = story.languages.length === 1 ? story.languages[0] : '';
    line.querySelector('.meta').replaceChildren(
      metaPart(uiElement('span', '', t('size', { n: story.size }))),
      metaPart(uiElement('span', '', t('sources', { n: story.sources }))),
      metaPart(uiElement('span', '', story.languages.map(languageName).join(listSeparator()))),
    );
  };
  return listPanel('stories', 'stories', { failed: 'storiesUnavailable', empty: 'noItems' }, make, update);
}

function makeFocusButton(kind, id, name) {
  const button = contentElement('button', 'name', name);
  button.type = 'button';
  button.dataset.focus = kind;
  button.dataset.id = id;
  button.addEventListener('click', () => state.toggleFocus({ kind, id, name: button.textContent }));
  return button;
}
