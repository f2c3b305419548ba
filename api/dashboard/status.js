// What the page says about itself: the state of the connection, articles a second, completeness of the numbers, and a
// summary for screen readers.

import { page, setLiveText } from './dom.js';
import { formats, relativeTime, t } from './i18n.js';
import { state } from './state.js';

const NOTICE_MS = 8_000;
const SUMMARY_MS = 30_000;
const RATE_SECONDS = 10;

let noticeTimer = 0;
// Articles that arrived in each of the last seconds.
const arrivalsPerSecond = [];

export function startStatus() {
  state.on('status-changed', () => {
    clearTimeout(noticeTimer);
    if (state.isNotice) noticeTimer = setTimeout(() => state.setStatus('live'), NOTICE_MS);
    showStatus();
  });
  state.on('readiness-changed', showStatus);
  state.on('completeness-changed', showCompleteness);
  state.on('language-changed', () => {
    showStatus();
    showRate();
    showCompleteness();
  });
  setInterval(countSecond, 1_000);
  setInterval(summarise, SUMMARY_MS);
}

function showStatus() {
  const { name, values } = state.shownStatus;
  page.status.dataset.state = name;
  setLiveText(page.statusText, t(textKey(name, values), values));
}

function textKey(name, { reason }) {
  if (name !== 'refused') return name;
  if (state.access.asking) return 'keyTitle';
  return reason ? 'refusedBecause' : name;
}

function countSecond() {
  arrivalsPerSecond.push(state.arrivals.sinceTick);
  state.arrivals.sinceTick = 0;
  if (arrivalsPerSecond.length > RATE_SECONDS) arrivalsPerSecond.shift();
  if (!document.hidden) showRate();
}

function showRate() {
  const total = arrivalsPerSecond.reduce((sum, count) => sum + count, 0);
  page.rate.textContent = total ? t('rate', { n: formats.decimal.format(total / arrivalsPerSecond.length) }) : lastText();
}

function lastText() {
  return state.lastArticleAt ? t('lastArticle', { time: relativeTime(state.lastArticleAt) }) : '';
}

function summarise() {
  const { sinceSummary, latestTitle } = state.arrivals;
  if (!sinceSummary) return;
  page.summary.textContent = t('summary', { n: sinceSummary, title: latestTitle });
  state.arrivals.sinceSummary = 0;
}

function showCompleteness() {
  const text = completenessText();
  page.completeness.hidden = !text;
  setLiveText(page.completeness, text);
}

function completenessText() {
  if (state.isRebuilding) {
    const { progress } = state.completeness;
    return progress === null ? t('rebuilding') : t('rebuildingAt', { share: formats.percent.format(progress) });
  }
  const since = state.completeSince;
  return since === null ? '' : t('completeSince', { time: formats.dateTime.format(since) });
}
