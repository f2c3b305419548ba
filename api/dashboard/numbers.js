// Numbers and stories over REST: asks for each panel's answer every few seconds and brings it into the state.
// `fetch`, the clock and `isHidden` can be replaced in tests.

import { systemClock } from './clock.js';
import { t } from './i18n.js';
import { parseCompleteness, parseItems, parsePoints, parseReadiness, parseStories, parseTrends } from './parse.js';

const REFRESH_MS = 5_000;
const REQUEST_TIMEOUT_MS = 8_000;
const MAX_RETRY_AFTER_SECONDS = 60;
// How often the gateway is asked whether articles pass: it has to ask Kafka, ingest and the store.
const READINESS_MS = 15_000;

// Each panel's request and the function that reads the answer.
const REQUESTS = {
  minutes: ['v1/timeseries?by=total&window=1h&step=1m', parsePoints],
  trends: ['v1/trends?limit=100', parseTrends],
  language: ['v1/aggregates?by=language&window=1h', parseItems],
  source: ['v1/aggregates?by=source&window=1h&limit=10', parseItems],
  entity: ['v1/aggregates?by=entity&window=1h&limit=10', parseItems],
  pair: ['v1/aggregates?by=pair&window=24h&limit=5', parseItems],
  stories: ['v1/stories?window=24h&limit=10', parseStories],
};

export class Numbers {
  #state;
  #fetch;
  #clock;
  #isHidden;

  #running = false;
  #timer = 0;
  #notBefore = 0;
  #readinessAt = -Infinity;

  constructor({
    state,
    fetch = (...request) => globalThis.fetch(...request),
    clock = systemClock,
    isHidden = () => document.hidden,
  }) {
    this.#state = state;
    this.#fetch = fetch;
    this.#clock = clock;
    this.#isHidden = isHidden;
    state.on('key-accepted', () => this.refresh());
  }

  // Asks now and then every REFRESH_MS, until the page is hidden or a key is needed; call it again after that.
  async refresh() {
    this.#clock.clearTimeout(this.#timer);
    if (this.#isHidden() || this.#state.access.asking || this.#running) return;
    const wait = this.#notBefore - this.#clock.now();
    if (wait <= 0) {
      this.#running = true;
      try {
        await this.#askForAll();
        this.#state.emit('results-refreshed');
      } finally {
        // Also when an answer could not be shown.
        this.#running = false;
        this.#refreshLater(wait);
      }
    } else {
      this.#refreshLater(wait);
    }
  }

  #refreshLater(wait) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.refresh(), Math.max(REFRESH_MS, wait));
  }

  async #askForAll() {
    await Promise.all(Object.entries(REQUESTS).map(([name, [address, parse]]) => this.#ask(name, address, parse)));
    await this.#askReadiness();
    this.#state.assignStories(this.#state.results.stories.items);
    await this.#followFocus();
  }

  async #ask(name, address, parse) {
    try {
      const answer = await this.#getJson(address);
      this.#state.setResult(name, parse(answer), parseCompleteness(answer));
    } catch {
      this.#state.setFailed(name);
    }
  }

  // Whether articles pass, and how much of a rebuild is done; the latter changes fast.
  async #askReadiness() {
    const isRebuilding = this.#state.isRebuilding;
    if (!isRebuilding && this.#clock.now() - this.#readinessAt < READINESS_MS) return;
    this.#readinessAt = this.#clock.now();
    try {
      const response = await this.#fetch('readyz', {
        cache: 'no-store',
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const { readiness, progress } = parseReadiness(await response.json());
      this.#state.setReadiness(readiness);
      this.#state.setProgress(isRebuilding ? progress : null);
    } catch {
      // Not the gateway's answer: the connection to the stream says what is wrong.
      this.#state.setReadiness(null);
      this.#state.setProgress(null);
    }
  }

  // The gateway redirects from a merged story to the one that has its articles now: the focus moves there.
  async #followFocus() {
    const { focus } = this.#state.filter;
    if (focus?.kind !== 'story') return;
    try {
      const answer = await this.#getJson(`v1/stories/${encodeURIComponent(focus.id)}`);
      const [story] = parseStories([answer]);
      this.#state.assignStories([story]);
      if (story.id === focus.id || this.#state.filter.focus !== focus) return;
      this.#state.moveStory(focus.id, story.id);
      this.#state.setFocus({ ...focus, id: story.id, name: story.title || t('untitled') });
    } catch {
      // The next refresh tries again.
    }
  }

  async #getJson(address) {
    const { key } = this.#state.access;
    const response = await this.#fetch(address, {
      headers: key ? { Accept: 'application/json', Authorization: `Bearer ${key}` } : { Accept: 'application/json' },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const { access } = this.#state;
    // The key may have changed since the request: the answer says nothing about the new one.
    if (response.status === 401 && key === access.key && !access.asking) this.#state.requireKey();
    if (response.status === 503) this.#delayNext(response.headers.get('Retry-After'));
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    return response.json();
  }

  #delayNext(retryAfter) {
    const seconds = Math.min(Number(retryAfter) || 0, MAX_RETRY_AFTER_SECONDS);
    this.#notBefore = Math.max(this.#notBefore, this.#clock.now() + seconds * 1000);
  }
}
