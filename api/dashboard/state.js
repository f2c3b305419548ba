// What the page knows, and the events that report its changes. No DOM: a module changes the state through the methods
// here, and the modules that show it listen.
//
// event                  emitted when                                        listeners
// status-changed         the state of the connection has changed             status
// articles-changed       articles came, were revised or moved to a story     articles
// filter-changed         the focus or the language filter has changed        connection articles panels filters
// selection-changed      the values of the other filters have changed        connection
// readiness-changed      the gateway has reported whether articles pass      status
// visibility-changed     near-duplicates are hidden or shown                 articles
// key-required           the gateway has refused the request without a key   connection key
// key-accepted           the user has entered a key                          connection numbers
// result-changed         a panel's request succeeded or failed (its name)    panels
// results-refreshed      all panels' requests are done                       filters
// completeness-changed   the numbers' completeness may have changed          status
// language-changed       the page's own language has changed                 every module that shows text

const LIST_LIMIT = 200;
const PANELS = ['minutes', 'trends', 'language', 'source', 'entity', 'stories', 'pair'];
const NOTICES = new Set(['resumed', 'cursor_too_old', 'bad_cursor']);
// The gateway has not refused the page, nor is it away.
const UNDISTURBED = new Set([...NOTICES, 'connecting', 'reconnecting', 'live', 'noUpgrade', 'originRefused']);

export class State extends EventTarget {
  // The API key; whether the page asks for one; whether the gateway has refused the last one.
  access = { key: '', asking: false, refused: false };
  // focus: { kind: 'entity' | 'topic' | 'story', id, name } or null. language: a code, or '' for all.
  // selection: the values of the filters that only the gateway applies, by name.
  filter = { focus: null, language: '', hideDuplicates: false, selection: {} };
  // name: connecting, live, resumed, cursor_too_old, bad_cursor, noUpgrade, originRefused, reconnecting, away or
  // refused. values: for its text.
  status = { name: 'connecting', values: {} };
  // The newest articles by id, oldest first.
  articles = new Map();
  // When the newest article came out of the pipeline, in milliseconds; 0 where none is known.
  lastArticleAt = 0;
  // What the gateway says about the pipeline, or null where it has not said anything yet.
  readiness = null;
  arrivals = { sinceTick: 0, sinceSummary: 0, latestTitle: '' };
  // Each panel's last items, which stay when a later request fails.
  results = Object.fromEntries(PANELS.map((name) => [name, { items: [], failed: false }]));
  // The completeness of each panel's last answer; how much of a rebuild is done (0 to 1), or null where unknown.
  completeness = { answers: new Map(), progress: null };

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  on(name, listener) {
    this.addEventListener(name, ({ detail }) => listener(detail));
  }

  // ------------------------------------------------------------ connection

  setStatus(name, values = {}) {
    this.status = { name, values };
    this.emit('status-changed');
  }

  // A notice says how the connection began; it is shown for a while, then `live` is.
  get isNotice() {
    return NOTICES.has(this.status.name);
  }

  // The state that the page shows: a connection is not live while the pipeline stands.
  get shownStatus() {
    const { ready = true, reasons = '' } = this.readiness ?? {};
    return !ready && UNDISTURBED.has(this.status.name) ? { name: 'stalled', values: { reasons } } : this.status;
  }

  // ------------------------------------------------------------ API key

  requireKey() {
    this.access = { key: '', asking: true, refused: Boolean(this.access.key) };
    this.emit('key-required');
  }

  acceptKey(key) {
    this.access.key = key;
    this.access.asking = false;
    this.emit('key-accepted');
  }

  // ------------------------------------------------------------ articles

  // `live` is false for articles from before the page was opened, which do not count as arrivals.
  addArticle(article, live, time = 0) {
    this.lastArticleAt = Math.max(this.lastArticleAt, time || 0);
    const known = this.articles.get(article.id);
    if (known && known.revision >= article.revision) return;
    // Deleting first moves a new revision to the newest end.
    this.articles.delete(article.id);
    this.articles.set(article.id, article);
    if (this.articles.size > LIST_LIMIT) this.articles.delete(this.articles.keys().next().value);
    if (live) {
      this.arrivals.sinceTick += 1;
      this.arrivals.sinceSummary += 1;
      this.arrivals.latestTitle = article.title;
    }
    this.emit('articles-changed');
  }

  clearArticles() {
    this.articles.clear();
    this.emit('articles-changed');
  }

  // Stories merge and split after their articles arrive.
  assignStories(stories) {
    for (const story of stories) {
      for (const id of story.articles) {
        const article = this.articles.get(id);
        if (article) article.story = story.id;
      }
    }
    this.emit('articles-changed');
  }

  moveStory(from, to) {
    for (const article of this.articles.values()) {
      if (article.story === from) article.story = to;
    }
  }

  isShown(article) {
    const { focus, language, hideDuplicates } = this.filter;
    if (hideDuplicates && article.duplicateOf) return false;
    if (language && article.language !== language) return false;
    return !focus || isAbout(article, focus);
  }

  // ------------------------------------------------------------ filter

  isFocus(kind, id) {
    return this.filter.focus?.kind === kind && this.filter.focus.id === id;
  }

  toggleFocus(focus) {
    this.setFocus(this.isFocus(focus.kind, focus.id) ? null : focus);
  }

  setFocus(focus) {
    this.filter.focus = focus;
    this.emit('filter-changed');
  }

  setLanguage(language) {
    this.filter.language = language;
    this.emit('filter-changed');
  }

  setSelection(selection) {
    this.filter.selection = selection;
    this.clearArticles();
    this.emit('selection-changed');
  }

  // Only the page applies this: the stream always carries near-duplicates.
  setHideDuplicates(hide) {
    this.filter.hideDuplicates = hide;
    this.emit('visibility-changed');
  }

  // ------------------------------------------------------------ numbers

  setResult(name, items, completeness) {
    this.results[name] = { items, failed: false };
    if (completeness) this.completeness.answers.set(name, completeness);
    this.emit('result-changed', name);
  }

  setFailed(name) {
    this.results[name].failed = true;
    this.emit('result-changed', name);
  }

  // ready: whether a pushed article would come out; reasons: of the parts that are not well, why.
  setReadiness(readiness) {
    this.readiness = readiness;
    this.emit('readiness-changed');
  }

  setProgress(progress) {
    this.completeness.progress = progress;
    this.emit('completeness-changed');
  }

  get isRebuilding() {
    return [...this.completeness.answers.values()].some((answer) => answer.rebuilding);
  }

  // Since when all numbers are complete, in milliseconds; null where they are complete for their whole windows.
  get completeSince() {
    const moments = [...this.completeness.answers.values()].map((answer) => answer.completeFrom);
    const known = moments.filter((moment) => moment !== null);
    return known.length ? Math.max(...known) : null;
  }
}

function isAbout(article, { kind, id }) {
  if (kind === 'story') return article.story === id;
  if (kind === 'topic') return article.topicIds.includes(id);
  return article.entities.some((entity) => entity.id === id);
}

// The page's state. Tests make their own.
export const state = new State();
