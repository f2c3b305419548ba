// The page of feeds (feeds.html): every feed with its state; adding, polling, pausing and removing; lists in and out.

import { byId, contentElement, element, page, setLiveText, translateDocument, uiElement } from './dom.js';
import { makeFeedRow } from './feedrows.js';
import { formats, otherUiLanguage, preferredUiLanguage, setUiLanguage, t } from './i18n.js';
import { startKey } from './key.js';
import { state } from './state.js';
import { localStore, readItem, writeItem } from './storage.js';
import { Subscriptions } from './subscriptions.js';

const STORED_UI_LANGUAGE = 'khabar-ui';
const REFRESH_MS = 5_000;
const PAGE = 100;
const MOST = 500;
const STATES = ['failing', 'gone', 'new', 'paused', 'ok'];

const list = byId('feeds');
const statusFilter = byId('feed-status');
const more = byId('more-feeds');
const empty = byId('no-feeds');
const message = byId('feed-message');
const addForm = byId('add-form');
const addAddress = byId('add-address');
const addButton = byId('add-button');
const choice = byId('choice');
const choiceTitle = byId('choice-title');
const choiceList = byId('choice-list');
const file = byId('import-file');

const subscriptions = new Subscriptions({ state });
const rows = new Map();
let shown = { feeds: [], total: 0, counts: {} };
let limit = PAGE;
let timer = 0;
let settings = {};

start();

function start() {
  state.on('language-changed', translateDocument);
  state.on('language-changed', show);
  startKey();
  setUiLanguage(readItem(localStore(), STORED_UI_LANGUAGE) || preferredUiLanguage());
  page.uiLanguage.addEventListener('click', () => {
    const language = otherUiLanguage();
    writeItem(localStore(), STORED_UI_LANGUAGE, language);
    setUiLanguage(language);
  });
  addForm.addEventListener('submit', submitAddress);
  choice.addEventListener('submit', submitChoice);
  statusFilter.addEventListener('change', () => refresh());
  more.addEventListener('click', () => {
    limit = Math.min(limit + PAGE, MOST);
    refresh();
  });
  file.addEventListener('change', importFile);
  byId('import-button').addEventListener('click', () => file.click());
  byId('export-button').addEventListener('click', exportFile);
  state.on('key-accepted', () => refresh());
  document.addEventListener('visibilitychange', () => refresh());
  refresh();
}

// Asks now, and again after REFRESH_MS until the page is hidden or a key is needed.
async function refresh() {
  clearTimeout(timer);
  if (document.hidden || state.access.asking) return;
  const status = statusFilter.value;
  try {
    const answer = await subscriptions.list({ status, limit });
    if (status !== statusFilter.value) return;
    shown = answer;
    page.status.dataset.state = 'live';
    show();
  } catch (refusal) {
    page.status.dataset.state = 'away';
    setLiveText(page.statusText, explained(refusal, 'feedsUnavailable'));
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, REFRESH_MS);
}

// ------------------------------------------------------------ the list

function show() {
  const known = Object.values(shown.counts).reduce((sum, number) => sum + number, 0);
  if (page.status.dataset.state === 'live') setLiveText(page.statusText, countsText(known));
  showStates();
  const focused = document.activeElement;
  const wanted = new Set(shown.feeds.map((feed) => feed.id));
  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  shown.feeds.forEach((feed, index) => {
    const row = rows.get(feed.id) ?? makeFeedRow(feed, actions);
    rows.set(feed.id, row);
    row.update(feed);
    if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
  });
  if (focused !== document.activeElement && focused?.isConnected) focused.focus();
  empty.hidden = shown.feeds.length > 0 || page.status.dataset.state !== 'live';
  setLiveText(empty, t(known ? 'noFeedMatches' : 'noFeeds'));
  more.hidden = shown.total <= shown.feeds.length || limit >= MOST;
}

function countsText(known) {
  const wrong = ['failing', 'gone'].filter((name) => shown.counts[name]);
  const parts = wrong.map((name) => `${t(`status_${name}`)}: ${formats.number.format(shown.counts[name])}`);
  return [t('feedsCount', { n: known }), ...parts].join(' · ');
}

function showStates() {
  const options = ['', ...STATES].map((name) => {
    const count = name ? ` (${formats.number.format(shown.counts[name] ?? 0)})` : '';
    return [name, `${t(name ? `status_${name}` : 'allStates')}${count}`];
  });
  options.forEach(([value, text], index) => {
    const option = statusFilter.options[index] ?? statusFilter.appendChild(element('option'));
    option.value = value;
    if (option.textContent !== text) option.textContent = text;
  });
}

const actions = {
  poll: (feed) => act(() => subscriptions.poll(feed.id), 'polled', feed),
  pause: (feed) => act(() => subscriptions.change(feed.id, { paused: true }), 'feedPaused', feed),
  resume: (feed) => act(() => subscriptions.change(feed.id, { paused: false }), 'feedResumed', feed),
  remove: (feed) => act(() => subscriptions.remove(feed.id), 'feedRemoved', feed),
};

async function act(request, done, feed) {
  try {
    await request();
    say(t(done, { name: feed.name }));
  } catch (refusal) {
    complain(refusal);
  }
  await refresh();
  // The row of a removed feed had the focus.
  if (document.activeElement === document.body) list.focus();
}

// ------------------------------------------------------------ adding

async function submitAddress(event) {
  event.preventDefault();
  const address = addAddress.value.trim();
  if (!address) return;
  settings = {
    source: byId('add-source').value.trim(),
    language: byId('add-language').value.trim(),
    user: byId('add-user').value,
    password: byId('add-password').value,
    full_text: byId('add-full-text').checked,
  };
  choice.hidden = true;
  await add(address, true);
}

// Whether the feed is there now. `ask`: show the feeds of a page that has several.
async function add(address, ask) {
  say(t('adding'));
  addButton.disabled = true;
  try {
    const feed = await subscriptions.add(address, settings);
    say(t('added', { name: feed.name }));
    addForm.reset();
  } catch (refusal) {
    if (refusal.code === 'already_there') {
      say(t('alreadyThere'));
    } else if (ask && refusal.candidates?.length) {
      say('');
      showChoice(refusal.candidates);
    } else {
      complain(refusal);
    }
  } finally {
    addButton.disabled = false;
  }
  refresh();
}

function showChoice(candidates) {
  choice.hidden = false;
  choiceTitle.textContent = t('severalFeeds', { n: candidates.length });
  choiceList.replaceChildren(...candidates.map((candidate) => {
    const label = element('label', 'field check');
    const box = element('input');
    box.type = 'checkbox';
    box.value = candidate.url;
    const address = element('small', 'address', candidate.url);
    address.dir = 'ltr';
    const words = uiElement('small', '', t('candidate', { format: candidate.format, n: candidate.entries }));
    label.append(box, contentElement('span', '', candidate.name), words, address);
    const line = element('li');
    line.append(label);
    return line;
  }));
  choiceList.querySelector('input').focus();
}

async function submitChoice(event) {
  event.preventDefault();
  const chosen = [...choiceList.querySelectorAll('input:checked')].map((box) => box.value);
  if (!chosen.length) return;
  choice.hidden = true;
  for (const address of chosen) await add(address, false);
}

// ------------------------------------------------------------ lists

async function importFile() {
  const [chosen] = file.files;
  if (!chosen) return;
  say(t('importing'));
  try {
    const { wrong, ...counts } = await subscriptions.importList(chosen);
    say(t('imported', counts), wrong);
  } catch (refusal) {
    complain(refusal);
  }
  file.value = '';
  refresh();
}

async function exportFile() {
  try {
    const link = element('a');
    link.href = URL.createObjectURL(await subscriptions.exportList());
    link.download = 'khabar-feeds.opml';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (refusal) {
    complain(refusal);
  }
}

// ------------------------------------------------------------ messages

function say(text, details = []) {
  message.classList.remove('rejected');
  message.replaceChildren(uiElement('p', '', text), ...details.map((detail) => contentElement('p', '', detail, 'en')));
  message.hidden = !text;
}

function complain(refusal) {
  say(explained(refusal, 'feedsUnavailable'));
  message.classList.add('rejected');
}

function explained(refusal, otherwise) {
  if (refusal.status === 401) return t('keyTitle');
  if (refusal.status === 403) return t('feedsForbidden', { reason: refusal.message });
  return refusal.message || t(otherwise);
}
