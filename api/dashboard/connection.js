// The WebSocket to /v1/stream: connects, resumes at the cursor, reconnects with backoff, brings articles into the
// state. The WebSocket class, the address of the page, the clock and the random numbers can be replaced in tests.

import { systemClock } from './clock.js';
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
const UNKNOWN_KEY = 4401;
const TOO_SLOW = 4408;

export class Connection {
  #state;
  #WebSocket;
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
  // The status once the gateway has confirmed the subscription: live, resumed or why it could not resume.
  #statusOnConfirm = 'live';
  #errorMessage = '';

  constructor({
    state,
    WebSocket = globalThis.WebSocket,
    location = globalThis.location,
    clock = systemClock,
    random = Math.random,
  }) {
    this.#state = state;
    this.#WebSocket = WebSocket;
    this.#location = location;
    this.#clock = clock;
    this.#random = random;
    state.on('filter-changed', () => this.#sendFilter());
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
    const socket = new this.#WebSocket(this.#address());
    this.#socket = socket;
    this.#filterPending = false;
    this.#openedAt = 0;
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
    if (!this.#socket || this.#clock.now() - this.#receivedAt < SILENCE_MS) return;
    this.#abandonSocket();
    this.#reconnectLater();
  }

  #address() {
    const address = new URL('/v1/stream', this.#location.href);
    address.protocol = this.#location.protocol === 'https:' ? 'wss:' : 'ws:';
    for (const [name, values] of Object.entries(this.#filter())) address.searchParams.set(name, values.join(','));
    if (this.#cursor) {
      address.searchParams.set('cursor', this.#cursor);
    } else if (this.#startWithRecent) {
      address.searchParams.set('since', new Date(this.#clock.now() - RECENT_MS).toISOString());
    }
    return address;
  }

  #filter() {
    const { focus, language } = this.#state.filter;
    const filter = { type: ['article'], duplicates: ['show'] };
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

  #sendFilter() {
    if (this.#socket?.readyState === this.#WebSocket.OPEN) {
      this.#send({ op: 'subscribe', filter: this.#filter() });
    } else {
      this.#filterPending = true;
    }
  }

  #onOpen() {
    this.#openedAt = this.#clock.now();
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
    if (message.type === 'subscribed') {
      if (this.#startWithRecent) this.#catchUpUntil = this.#clock.now() + CATCH_UP_MS;
      this.#startWithRecent = false;
      this.#confirm();
    } else if (message.type === 'article' && message.data?.id !== undefined) {
      const { name } = this.#state.status;
      if (name === 'connecting' || name === 'reconnecting') this.#confirm();
      this.#state.addArticle(parseArticle(message), !this.#isBacklog(message));
    }
  }

  #isBacklog({ time }) {
    return this.#clock.now() < this.#catchUpUntil && Date.parse(time) < this.#openedAt;
  }

  #confirm() {
    const status = this.#statusOnConfirm;
    this.#statusOnConfirm = 'live';
    if (status === 'live' && this.#state.isNotice) return;
    this.#state.setStatus(status);
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
    this.#socket = null;
    if (this.#openedAt && this.#clock.now() - this.#openedAt > STABLE_MS) this.#failures = 0;
    if (code === UNKNOWN_KEY) {
      this.#state.requireKey();
    } else if (isRefusal(code)) {
      this.#state.setStatus('refused', { reason: this.#errorMessage || reason });
      this.#retryTimer = this.#clock.setTimeout(() => this.connect(), BACKOFF_LIMIT_MS);
    } else {
      this.#reconnectLater();
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
