// The live page: articles from the stream, numbers and stories over REST. This module starts the others. The page of
// feeds (feeds.html) is started by feeds.js.
//
// A module imports only from the lines above its own. Changes go through state.js, whose events the others listen to.
//
//   words  storage  clock  parse  state  table   texts; browser storage; timers; JSON to objects; what the page knows; filters
//   i18n  events                          the page's language and formats; server-sent events
//   connection                            the connection to the stream
//   numbers  subscriptions  dom           REST requests, for numbers and for feeds; elements of the page
//   rows  status  key  filters  panels    an article's row; header and banner; API key; tools; side column
//   feedrows                              a feed's row
//   articles                              the list of rows
//   dashboard  feeds
//
// Pure modules (words, parse, state, table, i18n, events, connection, numbers, subscriptions) are tested under Node in tests/dashboard/. There is no
// build step. Each page names its modules in modulepreload links, so that all are requested at once.

import { startArticles, updateTimes } from './articles.js';
import { Connection } from './connection.js';
import { page, translateDocument } from './dom.js';
import { startFilters } from './filters.js';
import { otherUiLanguage, preferredUiLanguage, setUiLanguage } from './i18n.js';
import { startKey } from './key.js';
import { Numbers } from './numbers.js';
import { startPanels } from './panels.js';
import { state } from './state.js';
import { startStatus } from './status.js';
import { localStore, readItem, writeItem } from './storage.js';
import { loadTable } from './table.js';

const STORED_UI_LANGUAGE = 'khabar-ui';
const wideScreen = matchMedia('(min-width: 60rem)');
const connection = new Connection({ state });
const numbers = new Numbers({ state });

start();

async function start() {
  const table = await loadTable();
  // The document first: the other modules then replace the texts that depend on the state.
  state.on('language-changed', translateDocument);
  startStatus();
  startKey();
  startPanels();
  startArticles();
  setUiLanguage(readItem(localStore(), STORED_UI_LANGUAGE) || preferredUiLanguage());
  startFilters(table);
  listenToBrowser();
  fitSideColumn();
  connection.connect();
  numbers.refresh();
  setInterval(() => connection.checkSilence(), 5_000);
  setInterval(updateTimes, 5_000);
}

function listenToBrowser() {
  page.uiLanguage.addEventListener('click', switchUiLanguage);
  document.addEventListener('visibilitychange', returnToPage);
  window.addEventListener('online', () => connection.reconnectNow());
  wideScreen.addEventListener('change', fitSideColumn);
}

function switchUiLanguage() {
  const language = otherUiLanguage();
  writeItem(localStore(), STORED_UI_LANGUAGE, language);
  setUiLanguage(language);
}

function returnToPage() {
  if (document.hidden) return;
  updateTimes();
  numbers.refresh();
}

// On a narrow screen the open column would push the stream out of sight.
function fitSideColumn() {
  page.side.open = wideScreen.matches;
}
