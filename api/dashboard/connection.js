// The connection to the stream: connects, resumes at the cursor, reconnects with backoff, brings articles into the
// state. It is a WebSocket to /v1/stream or, where none passes, server-sent events. The WebSocket class, fetch, the
// address of the page, the clock and the random numbers can be replaced in tests.

import { systemClock } from './clock.js';
import { EventStream } from './events.js';
import { clip, parseArticle, parseLine } from './parse.js';

// The gateway sends a heartbeat every 15 s: after two missed ones the connection counts as dead.
const SILENCE_MS = 40_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LIMIT_MS = 30_000;
// The backoff starts again from its first delay after a connection that lasted this long.
const STABLE_MS = 10_000;
// The page begins with the articles of the last minutes. While it catches up, these do not count as arrivals.
const RECENT_MS = 5 * 60_000;
const CATCH_UP_MS = 5_000;
// A WebSocket that has not opened by then counts as failed.
const OPENING_MS = 10_000;
// One failure may be a gateway that is just starting.
const MAX_WEBSOCKET_FAILURES = 2;
const PROBE_TIMEOUT_MS = 5_000;
const UNKNOWN_KEY = 4401;
const TOO_SLOW = 4408;

export class Connection {
  #state;
  #WebSocket;
  #fetch;
  #location;
  #clock;
  #random;

  #socket = null;
  #cursor = null;
  #startWithRecent = true;
  #catchUpUntil = 0;
  #failures = 0;
  #openedAt = 0;
  #receivedAt = 0;
  #retryTimer = 0;
  // Whether the filter has changed since the address of this connection was made.
  #filterPending = false;
  #isConfirmed = false;
  // WebSockets that failed in a row although the gateway answers; then why events are used instead of them.
  #webSocketFailures = 0;
  #fallback = '';
  // The status once the gateway has confirmed the subscription: live, resumed or why it could not resume.
  #statusOnConfirm = 'live';
  #errorMessage = '';

  constructor({
    state,
    WebSocket = globalThis.WebSocket,
    fetch = (...request) => globalThis.fetch(...request),
    location = globalThis.location,
    clock = systemClock,
    random = Math.random,
  }) {
    this.#state = state;
    this.#WebSocket = WebSocket;
    this.#fetch = fetch;
    this.#location = location;
    this.#clock = clock;
    this.#random = random;
    state.on('filter-changed', () => this.#sendFilter());
    state.on('selection-changed', () => this.#startAgain());
    state.on('key-required', () => this.#suspend());
    state.on('key-accepted', () => {
      state.setStatus('connecting');
      this.connect();
    });
  }

  // Replaces the connection there is. Does nothing while the page asks for a key.
  connect() {
    this.#clock.clearTimeout(this.#retryTimer);
    this.#abandonSocket();
    if (this.#state.access.asking) return;
    const socket = this.#fallback
      ? new EventStream(this.#address('v1/events'), { key: this.#state.access.key, fetch: this.#fetch })
      : new this.#WebSocket(this.#address('v1/stream'));
    this.#socket = socket;
    this.#filterPending = false;
    this.#openedAt = 0;
    this.#isConfirmed = false;
    this.#receivedAt = this.#clock.now();
    this.#errorMessage = '';
    if (this.#cursor) this.#statusOnConfirm = 'resumed';
    const ifCurrent = (handler) => (event) => {
      if (socket === this.#socket) handler(event);
    };
    socket.addEventListener('open', ifCurrent(() => this.#onOpen()));
    socket.addEventListener('message', ifCurrent((event) => this.#onMessage(event)));
    socket.addEventListener('close', ifCurrent((event) => this.#onClose(event)));
  }

  // For when the browser is online again: does not wait for the end of the backoff.
  reconnectNow() {
    if (this.#socket?.readyState === this.#WebSocket.OPEN) return;
    this.#failures = 0;
    this.connect();
  }

  // To be called every few seconds.
  checkSilence() {
    if (!this.#socket) return;
    const silence = this.#clock.now() - this.#receivedAt;
    if (silence >= OPENING_MS && !this.#openedAt) {
      this.#abandonSocket();
      this.#onFailure();
    } else if (silence >= SILENCE_MS) {
      this.#abandonSocket();
      this.#reconnectLater();
    }
  }

  #address(path) {
    // Relative, because a proxy may serve the gateway under a path prefix.
    const address = new URL(path, this.#location.href);
    if (!this.#fallback) address.protocol = this.#location.protocol === 'https:' ? 'wss:' : 'ws:';
    for (const [name, values] of Object.entries(this.#filter())) address.searchParams.set(name, values.join(','));
    if (this.#cursor) {
      address.searchParams.set('cursor', this.#cursor);
    } else if (this.#startWithRecent) {
      address.searchParams.set('since', new Date(this.#clock.now() - RECENT_MS).toISOString());
    }
    return address;
  }

  #filter() {
    const { focus, language, selection } = this.#state.filter;
    const filter = { ...selection, type: ['article'], duplicates: ['show'] };
    if (focus) filter[focus.kind] = [focus.id];
    if (language) filter.language = [language];
    return filter;
  }

  #abandonSocket() {
    const socket = this.#socket;
    this.#socket = null;
    // The browser reports closing before the socket is open as an error on the console.
    if (socket?.readyState === this.#WebSocket.CONNECTING) socket.addEventListener('open', () => socket.close());
    else socket?.close();
  }

  #suspend() {
    this.#clock.clearTimeout(this.#retryTimer);
    this.#abandonSocket();
    this.#state.setStatus('refused');
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  // Shows what passes the filter now, beginning with the last minutes.
  #startAgain() {
    this.#cursor = null;
    this.#startWithRecent = true;
    this.connect();
  }

  #sendFilter() {
    if (this.#fallback) {
      this.connect();
    } else if (this.#socket?.readyState === this.#WebSocket.OPEN) {
      this.#send({ op: 'subscribe', filter: this.#filter() });
    } else {
      this.#filterPending = true;
    }
  }

  #onOpen() {
    this.#openedAt = this.#clock.now();
    if (this.#fallback) return;
    this.#webSocketFailures = 0;
    if (this.#state.access.key) this.#send({ op: 'auth', key: this.#state.access.key });
    if (this.#filterPending) this.#sendFilter();
  }

  // A frame has one JSON object a line.
  #onMessage({ data }) {
    this.#receivedAt = this.#clock.now();
    if (typeof data !== 'string') return;
    const socket = this.#socket;
    for (const line of data.split('\n')) {
      // An error in the frame may have replaced the connection it came from.
      if (socket !== this.#socket) return;
      const message = parseLine(line);
      if (message) this.#handle(message);
    }
  }

  #handle(message) {
    if (message.type === 'error') {
      this.#handleError(message);
      return;
    }
    if (message.cursor) this.#cursor = message.cursor;
    // Server-sent events begin with a heartbeat.
    if (message.type === 'subscribed' || (this.#fallback && message.type === 'heartbeat' && !this.#isConfirmed)) {
      if (this.#startWithRecent) this.#catchUpUntil = this.#clock.now() + CATCH_UP_MS;
      this.#startWithRecent = false;
      this.#confirm();
    } else if (message.type === 'article' && message.data?.id !== undefined) {
      const { name } = this.#state.status;
      if (name === 'connecting' || name === 'reconnecting') this.#confirm();
      this.#state.addArticle(parseArticle(message), !this.#isBacklog(message), Date.parse(message.time));
    }
  }

  #isBacklog({ time }) {
    return this.#clock.now() < this.#catchUpUntil && Date.parse(time) < this.#openedAt;
  }

  #confirm() {
    this.#isConfirmed = true;
    const status = this.#statusOnConfirm;
    this.#statusOnConfirm = 'live';
    if (status === 'live' && this.#state.isNotice) return;
    const isLive = status === 'live' || status === 'resumed';
    this.#state.setStatus(this.#fallback && isLive ? this.#fallback : status, { origin: this.#location.origin });
  }

  #handleError(error) {
    if (!this.#cursor && this.#startWithRecent && error.code === 'cursor_too_old') {
      // The gateway keeps less than the page would begin with: begin with what arrives from now on.
      this.#startWithRecent = false;
      this.connect();
      return;
    }
    if (this.#cursor && (error.code === 'cursor_too_old' || error.code === 'bad_cursor')) {
      this.#cursor = null;
      this.connect();
      this.#statusOnConfirm = error.code;
      return;
    }
    this.#errorMessage = clip(String(error.message ?? error.code ?? ''), 200);
    this.#state.setStatus('refused', { reason: this.#errorMessage });
  }

  #onClose({ code, reason }) {
    const neverOpened = !this.#openedAt;
    this.#socket = null;
    if (this.#openedAt && this.#clock.now() - this.#openedAt > STABLE_MS) this.#failures = 0;
    if (code === UNKNOWN_KEY) {
      this.#state.requireKey();
    } else if (isRefusal(code)) {
      this.#state.setStatus('refused', { reason: this.#errorMessage || reason });
      this.#retryTimer = this.#clock.setTimeout(() => this.connect(), BACKOFF_LIMIT_MS);
    } else if (neverOpened) {
      this.#onFailure();
    } else {
      this.#reconnectLater();
    }
  }

  // The browser does not say why a WebSocket did not open: find out whether the gateway answers other requests.
  async #onFailure() {
    this.#reconnectLater();
    if (this.#fallback) return;
    const timer = this.#retryTimer;
    const problem = await this.#probe();
    if (timer !== this.#retryTimer) return;
    if (problem === 'away') {
      this.#state.setStatus('away', this.#state.status.values);
      return;
    }
    this.#webSocketFailures += 1;
    if (this.#webSocketFailures >= MAX_WEBSOCKET_FAILURES) this.#fallback = problem;
    this.connect();
  }

  // Why no WebSocket opens. The method makes the browser send the origin of the page, as a WebSocket does.
  async #probe() {
    try {
      const { status } = await this.#fetch(new URL('v1/stream', this.#location.href), {
        method: 'OPTIONS',
        cache: 'no-store',
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
      });
      if (status >= 500) return 'away';
      return status === 403 ? 'originRefused' : 'noUpgrade';
    } catch {
      return 'away';
    }
  }

  #reconnectLater() {
    const full = Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    // Half of the delay is random, so that not all pages reconnect to a restarted gateway at once.
    const delay = full / 2 + (this.#random() * full) / 2;
    this.#failures += 1;
    this.#state.setStatus('reconnecting', { seconds: Math.max(1, Math.round(delay / 1000)) });
    this.#retryTimer = this.#clock.setTimeout(() => this.connect(), delay);
  }
}

// After TOO_SLOW the cursor is still good.
function isRefusal(code) {
  return code === 1008 || (code >= 4400 && code < 4500 && code !== TOO_SLOW);
}
