// A clock, a WebSocket and a fetch that the tests control.

export class FakeClock {
  time = Date.parse('2026-03-01T12:00:00Z');
  timers = new Map();
  #last = 0;

  now = () => this.time;

  setTimeout = (callback, milliseconds) => {
    this.#last += 1;
    this.timers.set(this.#last, { callback, at: this.time + milliseconds });
    return this.#last;
  };

  clearTimeout = (timer) => {
    this.timers.delete(timer);
  };

  // How long the timers still wait, in milliseconds.
  get waits() {
    return [...this.timers.values()].map(({ at }) => at - this.time);
  }

  advance(milliseconds) {
    this.time += milliseconds;
    for (const [timer, { callback, at }] of [...this.timers]) {
      if (at > this.time) continue;
      this.timers.delete(timer);
      callback();
    }
  }
}

export class FakeWebSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 3;
  static all = [];

  readyState = FakeWebSocket.CONNECTING;
  sent = [];

  constructor(address) {
    super();
    this.address = new URL(address);
    FakeWebSocket.all.push(this);
  }

  static get last() {
    return FakeWebSocket.all.at(-1);
  }

  get query() {
    return Object.fromEntries(this.address.searchParams);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = FakeWebSocket.CLOSED;
  }

  // ------------------------------------------------------- what the gateway does

  open() {
    this.readyState = FakeWebSocket.OPEN;
    this.dispatchEvent(new Event('open'));
  }

  frame(...messages) {
    this.dispatchEvent(new MessageEvent('message', { data: messages.map((one) => JSON.stringify(one)).join('\n') }));
  }

  closeWith(code, reason = '') {
    this.readyState = FakeWebSocket.CLOSED;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
  }
}

// The gateway's answer to a probe, and to a request for server-sent events, both made with fetch. A test opens, feeds and
// ends each stream.
export class FakeGateway {
  probe = new TypeError('no network');
  streams = [];

  fetch = async (address, options) => {
    if (options.method === 'OPTIONS') {
      if (this.probe instanceof Error) throw this.probe;
      return { status: this.probe };
    }
    const stream = new FakeEvents(new URL(address), options);
    this.streams.push(stream);
    return stream.answer;
  };
}

class FakeEvents {
  constructor(address, { headers, signal }) {
    Object.assign(this, { address, headers, signal });
    this.answer = new Promise((resolve) => { this.respond = resolve; });
    this.body = new ReadableStream({ start: (controller) => { this.controller = controller; } });
  }

  get query() {
    return Object.fromEntries(this.address.searchParams);
  }

  open() {
    this.respond({ ok: true, status: 200, body: this.body });
  }

  refuse(status, problem) {
    this.respond({ ok: false, status, json: async () => problem });
  }

  send(text) {
    this.controller.enqueue(new TextEncoder().encode(text));
  }

  end() {
    this.controller.close();
  }
}

// Lets promises that wait for nothing else go on.
export async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => { setImmediate(resolve); });
}

// Answers by path. `answers` maps a path to a JSON object, or to { status, headers } for a failure.
export class FakeFetch {
  requests = [];

  constructor(answers) {
    this.answers = answers;
  }

  fetch = async (address, options) => {
    this.requests.push({ address, headers: options.headers });
    const answer = this.answers[address.split('?')[0]] ?? { status: 404 };
    if (answer instanceof Error) throw answer;
    const status = answer.status ?? 200;
    return {
      status,
      ok: status < 400,
      headers: new Headers(answer.headers),
      json: async () => structuredClone(answer),
    };
  };
}

export function article(id, fields = {}, time = '2026-03-01T12:00:00Z') {
  return { type: 'article', cursor: `cursor-${id}`, time, data: { id, revision: 1, title: id, language: 'ar', ...fields } };
}
