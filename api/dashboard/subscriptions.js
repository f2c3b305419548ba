// Feeds over REST: what the page of feeds asks of /v1/feeds, and the answers as objects of the page.
// `fetch` can be replaced in tests.

const READ_TIMEOUT_MS = 8_000;
// To add a feed, other people's servers have to answer.
const WRITE_TIMEOUT_MS = 90_000;

// The gateway has refused a request, or did not answer (status 0). `problem`: its problem document.
export class Refusal extends Error {
  constructor(status, problem = {}) {
    super(typeof problem.detail === 'string' ? problem.detail : '');
    this.status = status;
    this.code = problem.code ?? '';
    this.candidates = Array.isArray(problem.feeds) ? problem.feeds.map(parseCandidate) : [];
  }
}

export class Subscriptions {
  #state;
  #fetch;

  constructor({ state, fetch = (...request) => globalThis.fetch(...request) }) {
    this.#state = state;
    this.#fetch = fetch;
  }

  // { feeds, total, counts }: the first feeds in a state ('' for any), how many have it, and how many feeds by state.
  async list({ status, limit }) {
    const query = new URLSearchParams({ limit });
    if (status) query.set('status', status);
    const answer = await this.#json('GET', `v1/feeds?${query}`);
    return { feeds: answer.feeds.map(parseFeed), total: answer.total, counts: answer.counts };
  }

  // `settings`: the members of the request besides the address; empty ones are left out.
  async add(url, settings = {}) {
    const given = Object.entries(settings).filter(([, value]) => value !== '' && value !== false);
    return parseFeed(await this.#json('POST', 'v1/feeds', { url, ...Object.fromEntries(given) }));
  }

  async change(id, changes) {
    return parseFeed(await this.#json('PATCH', feedPath(id), changes));
  }

  async poll(id) {
    return parseFeed(await this.#json('POST', `${feedPath(id)}/poll`));
  }

  async remove(id) {
    await this.#ask('DELETE', feedPath(id));
  }

  // `file`: OPML, or one address a line. { added, known, invalid, wrong }: numbers, and what is wrong in the list.
  async importList(file) {
    const { added, known, invalid, feeds } = await this.#json('POST', 'v1/feeds/import', file);
    const wrong = feeds.filter((feed) => feed.outcome === 'invalid');
    return { added, known, invalid, wrong: wrong.map(({ place, url, error }) => `${place}: ${url} ${error}`) };
  }

  async exportList() {
    return (await this.#ask('GET', 'v1/feeds.opml')).blob();
  }

  async #json(method, address, body) {
    return (await this.#ask(method, address, body)).json();
  }

  async #ask(method, address, body) {
    const { key } = this.#state.access;
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    // What is no plain object is a file.
    const isJson = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
    if (body !== undefined) headers['Content-Type'] = isJson ? 'application/json' : 'application/octet-stream';
    let response;
    try {
      response = await this.#fetch(address, {
        method,
        headers,
        body: isJson ? JSON.stringify(body) : body,
        signal: AbortSignal.timeout(method === 'GET' ? READ_TIMEOUT_MS : WRITE_TIMEOUT_MS),
      });
    } catch {
      throw new Refusal(0);
    }
    const { access } = this.#state;
    if (response.status === 401 && key === access.key && !access.asking) this.#state.requireKey();
    if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
    return response;
  }
}

function feedPath(id) {
  return `v1/feeds/${encodeURIComponent(id)}`;
}

// A feed as the page shows it; times in milliseconds, null for none.
export function parseFeed(feed) {
  return {
    id: feed.id,
    url: feed.url,
    status: feed.status,
    name: feed.title || feed.source,
    source: feed.source,
    language: feed.language ?? '',
    readAt: parseTime(feed.succeeded),
    nextAt: parseTime(feed.next_poll),
    error: feed.error ?? '',
    failures: feed.failures,
    perDay: feed.articles_per_day,
    rejected: feed.rejected,
    movedTo: feed.moved_to ?? '',
    problems: feed.problems ?? [],
    isOfFile: feed.origin === 'file',
  };
}

function parseCandidate(feed) {
  return { url: feed.url, name: feed.title || feed.url, format: feed.format, entries: feed.entries };
}

function parseTime(text) {
  return text ? Date.parse(text) : null;
}
