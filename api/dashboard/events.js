// Server-sent events with the interface of a WebSocket, for where a proxy lets none pass. Not an EventSource: that
// cannot send a key, and does not say why the gateway refuses it.

const CLOSE_CODES = { 401: 4401, 403: 4403, 429: 4429 };
const LOST = 1006;
const REFUSED = 4400;

export class EventStream extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 3;

  readyState = EventStream.CONNECTING;
  #aborting = new AbortController();

  constructor(address, { key, fetch }) {
    super();
    this.#run(address, key, fetch);
  }

  close() {
    this.readyState = EventStream.CLOSED;
    this.#aborting.abort();
  }

  async #run(address, key, fetch) {
    let refusal = null;
    try {
      const response = await fetch(address, {
        headers: key ? { Authorization: `Bearer ${key}` } : {},
        cache: 'no-store',
        signal: this.#aborting.signal,
      });
      if (response.ok) await this.#read(response.body);
      else refusal = await this.#refusal(response);
    } catch {
      // The connection was lost, or close() was called.
    }
    if (this.readyState === EventStream.CLOSED) return;
    this.readyState = EventStream.CLOSED;
    const { code, reason } = refusal ?? { code: LOST, reason: '' };
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
  }

  async #read(body) {
    this.readyState = EventStream.OPEN;
    this.dispatchEvent(new Event('open'));
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let unfinished = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (unfinished + value).split('\n');
      unfinished = lines.pop();
      const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6));
      if (data.length) this.dispatchEvent(new MessageEvent('message', { data: data.join('\n') }));
    }
  }

  // The gateway's problem document as an error and a close; an error of a server is a lost connection.
  async #refusal(response) {
    if (response.status >= 500) return null;
    const problem = await response.json().catch(() => ({}));
    const reason = problem.detail ?? `${response.status}`;
    if (problem.code) {
      const data = JSON.stringify({ type: 'error', code: problem.code, message: reason });
      this.dispatchEvent(new MessageEvent('message', { data }));
    }
    return { code: CLOSE_CODES[response.status] ?? REFUSED, reason };
  }
}
