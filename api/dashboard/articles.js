// The list of articles: newest first, at most one render a frame, held while paused or while the mouse moves over it.

import { page } from './dom.js';
import { t } from './i18n.js';
import { makeRow, markChips, updateTime } from './rows.js';
import { state } from './state.js';

const POINTER_HOLD_MS = 2_000;
const MAX_HIGHLIGHTED = 3;

// The rows in the list by article id.
const rows = new Map();
const view = { paused: false, heldUntil: 0, frameRequested: false, holdTimer: 0 };

export function startArticles() {
  page.pause.addEventListener('click', togglePause);
  page.articles.addEventListener('pointermove', holdWhilePointing);
  state.on('articles-changed', requestRender);
  state.on('filter-changed', render);
  state.on('visibility-changed', render);
  state.on('language-changed', () => {
    showPause();
    rows.clear();
    page.articles.replaceChildren();
    render();
  });
}

export function updateTimes() {
  if (document.hidden) return;
  for (const row of rows.values()) updateTime(row);
}

// However many articles come within a frame, they cost one render.
function requestRender() {
  if (view.frameRequested) return;
  view.frameRequested = true;
  requestAnimationFrame(() => {
    view.frameRequested = false;
    if (isHeld()) showWaiting();
    else render();
  });
}

function isHeld() {
  return view.paused || Date.now() < view.heldUntil;
}

function render() {
  dropStaleRows();
  addNewRows();
  let shown = 0;
  for (const row of rows.values()) {
    row.item.hidden = !state.isShown(row.article);
    if (!row.item.hidden) shown += 1;
    markChips(row);
  }
  page.empty.hidden = shown > 0;
  page.waiting.textContent = '';
}

function dropStaleRows() {
  for (const [id, row] of rows) {
    if (state.articles.get(id) === row.article) continue;
    row.item.remove();
    rows.delete(id);
  }
}

function addNewRows() {
  const added = [...state.articles.values()].filter((article) => !rows.has(article.id));
  const fragment = document.createDocumentFragment();
  for (const article of added.reverse()) {
    const row = makeRow(article);
    // Highlighting a whole screen would highlight nothing.
    if (added.length <= MAX_HIGHLIGHTED) row.item.classList.add('new');
    rows.set(article.id, row);
    fragment.append(row.item);
  }
  page.articles.prepend(fragment);
}

// How many articles wait for the list to be rendered again.
function showWaiting() {
  let waiting = 0;
  for (const [id, article] of state.articles) {
    if (rows.get(id)?.article !== article && state.isShown(article)) waiting += 1;
  }
  page.waiting.textContent = waiting ? t('waiting', { n: waiting }) : '';
}

function togglePause() {
  view.paused = !view.paused;
  showPause();
  requestRender();
}

function showPause() {
  page.pause.setAttribute('aria-pressed', String(view.paused));
  page.pause.dataset.text = view.paused ? 'resume' : 'pause';
  page.pause.textContent = t(page.pause.dataset.text);
}

// Rows must not move away from under a mouse that aims at one of them. A mouse that does not move holds nothing.
function holdWhilePointing(event) {
  if (event.pointerType !== 'mouse' || (event.movementX === 0 && event.movementY === 0)) return;
  view.heldUntil = Date.now() + POINTER_HOLD_MS;
  clearTimeout(view.holdTimer);
  view.holdTimer = setTimeout(requestRender, POINTER_HOLD_MS + 20);
}
