// The live page: articles over the WebSocket, numbers and stories over REST.
// Everything that comes from outside enters the page through textContent only.

const LIST_LIMIT = 200;
const REFRESH_MS = 5_000;
const REQUEST_TIMEOUT_MS = 8_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LIMIT_MS = 30_000;
// The gateway promises a heartbeat every 15 s; two missed ones mean a dead line.
const SILENCE_MS = 40_000;
const STABLE_MS = 10_000;
const NOTICE_MS = 8_000;
const SUMMARY_MS = 30_000;
// The page begins with what came this long ago; while it catches up, nothing counts as arriving now.
const RECENT_MS = 5 * 60_000;
const CATCH_UP_MS = 5_000;
const POINTER_HOLD_MS = 2_000;
const RATE_SECONDS = 10;
const BARS = 10;
const PAIRS = 5;
const TREND_WINDOWS = { '15m': 'quarter', '1h': 'hour' };
const TRENDS = 8;
const CHIPS = 8;
const TOPICS = 3;
const TITLE_CHARACTERS = 300;
const EXCERPT_WORDS = 24;

const RTL_LANGUAGES = new Set(['ar', 'arz', 'ary', 'ckb', 'dv', 'fa', 'he', 'ps', 'sd', 'ug', 'ur', 'yi']);
const RTL_LETTER = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Thaana}]/u;
const ENTITY_KINDS = new Set(['PER', 'LOC', 'ORG', 'MISC']);

const WORDS = {
  en: {
    skip: 'Skip to the articles',
    otherLanguage: 'العربية',
    connecting: 'Connecting…',
    live: 'Live',
    resumed: 'Live · resumed where it broke off',
    cursor_too_old: 'Live · started afresh: the break was longer than what is kept, some articles are not shown',
    bad_cursor: 'Live · started afresh: the gateway did not know our position, some articles may be missing',
    reconnecting: 'Reconnecting in {seconds} s…',
    refused: 'Refused',
    refusedWhy: 'Refused: {reason}',
    rate: '{n} articles/s',
    keyTitle: 'An API key is needed',
    keyNeeded: 'This gateway only answers to known keys.',
    keyRefused: 'The gateway did not accept that key.',
    keyLabel: 'API key',
    keySubmit: 'Connect',
    keyHint: 'Kept in this tab only, until it is closed.',
    streamTitle: 'Articles as they arrive',
    toolsLabel: 'What is shown',
    legendLabel: 'Kinds of entity',
    language: 'Language',
    allLanguages: 'All languages',
    hideCopies: 'Hide copies',
    pause: 'Pause',
    resume: 'Resume',
    waiting: '{n} new',
    only: 'Only',
    clear: '(clear)',
    empty: 'Waiting for articles…',
    numbers: 'Numbers and stories',
    byLanguage: 'Languages',
    bySource: 'Sources',
    byEntity: 'In the news',
    byMinute: 'Articles a minute',
    minutesNow: 'Articles a minute in the last hour: {most} at most, {last} in the last whole minute',
    byPair: 'Named together',
    trends: 'Rising now',
    trendsUnavailable: 'Trends unavailable',
    nothingRises: 'Nothing rises just now',
    instead: '{n} instead of {expected}',
    quarter: 'in 15 minutes',
    hour: 'in an hour',
    rebuilding: 'Numbers are being rebuilt: they are incomplete until that is done.',
    rebuildingAt: 'Numbers are being rebuilt: {share} done, incomplete until then.',
    completeSince: 'Numbers are complete since {time}.',
    stories: 'Stories',
    lastHour: 'last hour',
    lastDay: 'last 24 hours',
    unavailable: 'Numbers unavailable',
    storiesUnavailable: 'Stories unavailable',
    nothingYet: 'Nothing yet',
    size: 'articles: {n}',
    sources: 'sources: {n}',
    copyOf: 'Copy of',
    revision: 'Revision {n}',
    moreEntities: 'Show {n} more',
    untitled: 'Untitled',
    summary: 'New articles: {n}. Latest: {title}',
    PER: 'Person',
    LOC: 'Place',
    ORG: 'Organisation',
    MISC: 'Other',
  },
  ar: {
    skip: 'انتقل إلى المقالات',
    otherLanguage: 'English',
    connecting: 'جارٍ الاتصال…',
    live: 'مباشر',
    resumed: 'مباشر · استُؤنف من حيث انقطع',
    cursor_too_old: 'مباشر · بدأ من جديد: طال الانقطاع أكثر مما يُحفظ، وبعض المقالات لن يظهر',
    bad_cursor: 'مباشر · بدأ من جديد: لم يتعرّف الخادم على موضعنا، وقد تنقص بعض المقالات',
    reconnecting: 'إعادة الاتصال بعد {seconds} ث…',
    refused: 'مرفوض',
    refusedWhy: 'مرفوض: {reason}',
    rate: '{n} مقال/ث',
    keyTitle: 'يلزم مفتاح للواجهة البرمجية',
    keyNeeded: 'لا يجيب هذا الخادم إلا حاملي المفاتيح المعروفة.',
    keyRefused: 'لم يقبل الخادم هذا المفتاح.',
    keyLabel: 'المفتاح',
    keySubmit: 'اتصال',
    keyHint: 'يُحفظ في هذا التبويب وحده حتى إغلاقه.',
    streamTitle: 'المقالات لحظة وصولها',
    toolsLabel: 'ما يُعرض',
    legendLabel: 'أنواع الكيانات',
    language: 'اللغة',
    allLanguages: 'كل اللغات',
    hideCopies: 'إخفاء النسخ المكررة',
    pause: 'إيقاف مؤقت',
    resume: 'متابعة',
    waiting: 'الجديد: {n}',
    only: 'فقط',
    clear: '(إلغاء)',
    empty: 'في انتظار المقالات…',
    numbers: 'الأرقام والقصص',
    byLanguage: 'اللغات',
    bySource: 'المصادر',
    byEntity: 'في الأخبار',
    byMinute: 'المقالات في الدقيقة',
    minutesNow: 'المقالات في الدقيقة خلال آخر ساعة: {most} على الأكثر، و{last} في آخر دقيقة كاملة',
    byPair: 'يُذكران معًا',
    trends: 'في صعود الآن',
    trendsUnavailable: 'الاتجاهات غير متاحة',
    nothingRises: 'لا شيء في صعود الآن',
    instead: '{n} بدل {expected}',
    quarter: 'في ربع ساعة',
    hour: 'في ساعة',
    rebuilding: 'يُعاد بناء الأرقام، وهي ناقصة حتى يكتمل ذلك.',
    rebuildingAt: 'يُعاد بناء الأرقام: اكتمل {share}، وهي ناقصة حتى ذلك الحين.',
    completeSince: 'الأرقام كاملة منذ {time}.',
    stories: 'القصص',
    lastHour: 'آخر ساعة',
    lastDay: 'آخر يوم',
    unavailable: 'الأرقام غير متاحة',
    storiesUnavailable: 'القصص غير متاحة',
    nothingYet: 'لا شيء بعد',
    size: 'المقالات: {n}',
    sources: 'المصادر: {n}',
    copyOf: 'نسخة من',
    revision: 'المراجعة {n}',
    moreEntities: 'إظهار {n} أخرى',
    untitled: 'بلا عنوان',
    summary: 'مقالات جديدة: {n}. أحدثها: {title}',
    PER: 'شخص',
    LOC: 'مكان',
    ORG: 'منظمة',
    MISC: 'غير ذلك',
  },
};

const page = collectElements();
const ui = { language: 'en', locale: 'en' };
const formats = {};
const stream = {
  socket: null,
  cursor: null,
  wantsRecent: true,
  catchesUpUntil: 0,
  failures: 0,
  openedAt: 0,
  heardAt: 0,
  retryTimer: 0,
  filterChanged: false,
  arrival: 'live',
  complaint: '',
};
const status = { state: 'connecting', values: {}, settleTimer: 0 };
const access = { key: recall(sessionStore(), 'khabar-key'), asking: false, refused: false };
const filter = { focus: null, language: '', hideCopies: false };
const view = { paused: false, heldUntil: 0, frameAsked: false, holdTimer: 0 };
const articles = new Map();
const rows = new Map();
const arrivals = { thisSecond: 0, seconds: [], sinceSummary: 0, latestTitle: '' };
const numbers = { running: false, timer: 0, notBefore: 0 };
// What the newest answers say of how complete they are, by the panel they are for.
const completeness = { told: new Map(), progress: null };
const panels = {
  minutes: minutesPanel(),
  trends: trendPanel(),
  language: barPanel('language', 'unavailable', (item) => languageName(item.id)),
  source: barPanel('source', 'unavailable', (item) => item.name || item.id),
  entity: barPanel('entity', 'unavailable', (item) => item.name || item.id, 'entity'),
  stories: storyPanel(),
  pair: barPanel('pair', 'unavailable', (item) => item.name || item.id),
};

start();

function start() {
  setUiLanguage(recall(localStore(), 'khabar-ui') || preferredUiLanguage());
  listenToPage();
  fitSideColumn();
  connect();
  refreshNumbers();
  setInterval(checkSilence, 5_000);
  setInterval(countSecond, 1_000);
  setInterval(updateTimes, 5_000);
  setInterval(summarise, SUMMARY_MS);
}

// ---------------------------------------------------------------- the page

function collectElements() {
  const byId = (id) => document.getElementById(id);
  return {
    status: byId('status'),
    statusText: byId('status-text'),
    rate: byId('rate'),
    uiLanguage: byId('ui-language'),
    keySection: byId('key-section'),
    keyForm: byId('key-form'),
    keyInput: byId('key-input'),
    keyMessage: byId('key-message'),
    languageFilter: byId('language-filter'),
    hideCopies: byId('hide-copies'),
    pause: byId('pause'),
    waiting: byId('waiting'),
    clearFocus: byId('clear-focus'),
    focusName: byId('focus-name'),
    completeness: byId('completeness'),
    empty: byId('empty'),
    articles: byId('articles'),
    side: byId('side'),
    summary: byId('summary'),
  };
}

function listenToPage() {
  page.uiLanguage.addEventListener('click', switchUiLanguage);
  page.keyForm.addEventListener('submit', acceptKey);
  page.languageFilter.addEventListener('change', () => setLanguageFilter(page.languageFilter.value));
  page.hideCopies.addEventListener('change', () => {
    filter.hideCopies = page.hideCopies.checked;
    render();
  });
  page.pause.addEventListener('click', togglePause);
  page.clearFocus.addEventListener('click', () => {
    setFocus(null);
    page.languageFilter.focus();
  });
  page.articles.addEventListener('pointermove', holdWhilePointing);
  document.addEventListener('visibilitychange', returnToPage);
  window.addEventListener('online', reconnectNow);
  wideScreen().addEventListener('change', fitSideColumn);
}

function returnToPage() {
  if (document.hidden) return;
  updateTimes();
  refreshNumbers();
}

function wideScreen() {
  return matchMedia('(min-width: 60rem)');
}

// On a narrow screen the column would push the stream out of sight.
function fitSideColumn() {
  page.side.open = wideScreen().matches;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Text from outside: its own direction, whatever the page's, and its own language.
function foreign(name, className, text, language) {
  const made = element(name, className, text);
  made.dir = 'auto';
  if (language) made.lang = language;
  // dir=auto goes by the first letter: «OPEC+ تخفض الإنتاج» would be laid out backwards.
  if (directionOf(language) === 'rtl' && RTL_LETTER.test(text)) made.classList.add('rtl');
  return made;
}

// -------------------------------------------------------- words and formats

function t(key, values = {}) {
  return WORDS[ui.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function preferredUiLanguage() {
  return navigator.language.toLowerCase().startsWith('ar') ? 'ar' : 'en';
}

function switchUiLanguage() {
  const next = ui.language === 'ar' ? 'en' : 'ar';
  remember(localStore(), 'khabar-ui', next);
  setUiLanguage(next);
}

function setUiLanguage(language) {
  ui.language = language in WORDS ? language : 'en';
  // The reader's own region decides which digits and calendar words are used.
  ui.locale = navigator.language.toLowerCase().startsWith(ui.language) ? navigator.language : ui.language;
  formats.number = new Intl.NumberFormat(ui.locale);
  formats.rate = new Intl.NumberFormat(ui.locale, { maximumFractionDigits: 1 });
  formats.share = new Intl.NumberFormat(ui.locale, { style: 'percent' });
  formats.relative = new Intl.RelativeTimeFormat(ui.locale, { numeric: 'auto', style: 'short' });
  formats.absolute = new Intl.DateTimeFormat(ui.locale, { dateStyle: 'medium', timeStyle: 'short' });
  formats.clock = new Intl.DateTimeFormat(ui.locale, { timeStyle: 'short' });
  formats.languages = new Intl.DisplayNames([ui.locale], { type: 'language' });
  translatePage();
}

function translatePage() {
  document.documentElement.lang = ui.language;
  document.documentElement.dir = ui.language === 'ar' ? 'rtl' : 'ltr';
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll('[data-label]')) node.setAttribute('aria-label', t(node.dataset.label));
  page.uiLanguage.textContent = t('otherLanguage');
  page.uiLanguage.lang = ui.language === 'ar' ? 'en' : 'ar';
  showStatus();
  showRate();
  showPause();
  showKeyForm();
  for (const panel of Object.values(panels)) panel.show();
  showCompleteness();
  fillLanguageFilter();
  rows.clear();
  page.articles.replaceChildren();
  render();
}

function languageName(code) {
  if (!code) return '';
  // The tables call the undetermined language "root".
  if (code === 'und') return code;
  try {
    return formats.languages.of(code) ?? code;
  } catch {
    return code;
  }
}

function directionOf(language) {
  return RTL_LANGUAGES.has((language ?? '').split('-')[0].toLowerCase()) ? 'rtl' : 'ltr';
}

function relativeTime(moment) {
  const seconds = Math.round((moment - Date.now()) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 5) return formats.relative.format(0, 'second');
  if (distance < 60) return formats.relative.format(seconds, 'second');
  if (distance < 3600) return formats.relative.format(Math.trunc(seconds / 60), 'minute');
  if (distance < 86400) return formats.relative.format(Math.trunc(seconds / 3600), 'hour');
  return formats.relative.format(Math.trunc(seconds / 86400), 'day');
}

function firstWords(text) {
  const start = text.slice(0, TITLE_CHARACTERS).trim();
  const words = start.split(/\s+/).slice(0, EXCERPT_WORDS).join(' ');
  return words.length < text.trim().length ? `${words}…` : words;
}

function clip(text, length) {
  if (text.length <= length) return text;
  // A cut may fall inside a surrogate pair; half of one is not text.
  return `${text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

// ------------------------------------------------- what the browser remembers

// Reading the property itself throws where the user has blocked site data.
function sessionStore() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

function localStore() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

function recall(store, name) {
  return store?.getItem(name) ?? '';
}

function remember(store, name, value) {
  try {
    store?.setItem(name, value);
  } catch {
    // A full or forbidden store: the value lasts as long as the page.
  }
}

function forget(store, name) {
  store?.removeItem(name);
}

// ------------------------------------------------------------- the connection

function connect() {
  clearTimeout(stream.retryTimer);
  abandonSocket();
  if (access.asking) return;
  const socket = new WebSocket(streamAddress());
  stream.socket = socket;
  stream.filterChanged = false;
  stream.openedAt = 0;
  stream.heardAt = Date.now();
  stream.complaint = '';
  if (stream.cursor) stream.arrival = 'resumed';
  const current = (handler) => (event) => {
    if (socket === stream.socket) handler(event);
  };
  socket.addEventListener('open', current(opened));
  socket.addEventListener('message', current(heard));
  socket.addEventListener('close', current(closed));
}

function streamAddress() {
  const address = new URL('/v1/stream', location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  for (const [name, values] of Object.entries(streamFilter())) address.searchParams.set(name, values.join(','));
  if (stream.cursor) address.searchParams.set('cursor', stream.cursor);
  else if (stream.wantsRecent) address.searchParams.set('since', new Date(Date.now() - RECENT_MS).toISOString());
  return address;
}

function streamFilter() {
  const wanted = { type: ['article'], duplicates: ['show'] };
  if (filter.focus) wanted[filter.focus.kind] = [filter.focus.id];
  if (filter.language) wanted.language = [filter.language];
  return wanted;
}

function abandonSocket() {
  const socket = stream.socket;
  stream.socket = null;
  // Closing before it is open would be reported on the console as a failure.
  if (socket?.readyState === WebSocket.CONNECTING) socket.addEventListener('open', () => socket.close());
  else socket?.close();
}

function opened() {
  stream.openedAt = Date.now();
  if (access.key) send({ op: 'auth', key: access.key });
  if (stream.filterChanged) sendFilter();
}

function send(message) {
  stream.socket.send(JSON.stringify(message));
}

function sendFilter() {
  if (stream.socket?.readyState === WebSocket.OPEN) {
    send({ op: 'subscribe', filter: streamFilter() });
  } else {
    stream.filterChanged = true;
  }
}

function heard(event) {
  stream.heardAt = Date.now();
  if (typeof event.data !== 'string') return;
  const socket = stream.socket;
  for (const line of event.data.split('\n')) {
    // An error in the frame may have replaced the connection it came from.
    if (socket !== stream.socket) return;
    const message = parsed(line);
    if (message) take(message);
  }
}

function parsed(line) {
  if (!line.trim()) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function take(message) {
  if (message.type === 'error') {
    complain(message);
    return;
  }
  if (message.cursor) stream.cursor = message.cursor;
  if (message.type === 'subscribed') {
    if (stream.wantsRecent) stream.catchesUpUntil = Date.now() + CATCH_UP_MS;
    stream.wantsRecent = false;
    announceArrival();
  } else if (message.type === 'article' && message.data?.id !== undefined) {
    if (status.state === 'connecting' || status.state === 'reconnecting') announceArrival();
    addArticle(message);
  }
}

function announceArrival() {
  const arrival = stream.arrival;
  stream.arrival = 'live';
  if (arrival === 'live' && isNotice(status.state)) return;
  setStatus(arrival);
}

function complain(error) {
  if (!stream.cursor && stream.wantsRecent && error.code === 'cursor_too_old') {
    // Less is kept than the page would begin with: it begins with what comes.
    stream.wantsRecent = false;
    connect();
    return;
  }
  if (stream.cursor && (error.code === 'cursor_too_old' || error.code === 'bad_cursor')) {
    stream.cursor = null;
    connect();
    stream.arrival = error.code;
    return;
  }
  stream.complaint = clip(String(error.message ?? error.code ?? ''), 200);
  setStatus('refused', { reason: stream.complaint });
}

function closed(event) {
  stream.socket = null;
  if (stream.openedAt && Date.now() - stream.openedAt > STABLE_MS) stream.failures = 0;
  if (event.code === 4401) {
    askForKey();
  } else if (isRefusal(event.code)) {
    setStatus('refused', { reason: stream.complaint || event.reason });
    stream.retryTimer = setTimeout(connect, BACKOFF_LIMIT_MS);
  } else {
    reconnectLater();
  }
}

// 4408 only says we read too slowly: the cursor is still good.
function isRefusal(code) {
  return code === 1008 || (code >= 4400 && code < 4500 && code !== 4408);
}

function reconnectLater() {
  const full = Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** stream.failures);
  // Half of it random, so that a restarted gateway does not meet every page at once.
  const delay = full / 2 + (Math.random() * full) / 2;
  stream.failures += 1;
  setStatus('reconnecting', { seconds: formats.number.format(Math.max(1, Math.round(delay / 1000))) });
  stream.retryTimer = setTimeout(connect, delay);
}

function reconnectNow() {
  if (stream.socket?.readyState === WebSocket.OPEN) return;
  stream.failures = 0;
  connect();
}

function checkSilence() {
  if (!stream.socket || Date.now() - stream.heardAt < SILENCE_MS) return;
  abandonSocket();
  reconnectLater();
}

// -------------------------------------------------------------- its state

function setStatus(state, values = {}) {
  clearTimeout(status.settleTimer);
  status.state = state;
  status.values = values;
  if (isNotice(state)) status.settleTimer = setTimeout(() => setStatus('live'), NOTICE_MS);
  showStatus();
}

function isNotice(state) {
  return state === 'resumed' || state === 'cursor_too_old' || state === 'bad_cursor';
}

function showStatus() {
  const key = status.state === 'refused' && status.values.reason ? 'refusedWhy' : status.state;
  page.status.dataset.state = status.state;
  const text = t(key, status.values);
  // Writing the same words again would make a screen reader say them again.
  if (page.statusText.textContent !== text) page.statusText.textContent = text;
}

function countSecond() {
  arrivals.seconds.push(arrivals.thisSecond);
  arrivals.thisSecond = 0;
  if (arrivals.seconds.length > RATE_SECONDS) arrivals.seconds.shift();
  if (!document.hidden) showRate();
}

function showRate() {
  const seconds = arrivals.seconds;
  const total = seconds.reduce((sum, count) => sum + count, 0);
  page.rate.textContent = total ? t('rate', { n: formats.rate.format(total / seconds.length) }) : '';
}

function summarise() {
  if (!arrivals.sinceSummary) return;
  page.summary.textContent = t('summary', {
    n: formats.number.format(arrivals.sinceSummary),
    title: arrivals.latestTitle,
  });
  arrivals.sinceSummary = 0;
}

// ------------------------------------------------------------ the API key

function askForKey() {
  access.refused = Boolean(access.key);
  access.key = '';
  forget(sessionStore(), 'khabar-key');
  access.asking = true;
  clearTimeout(stream.retryTimer);
  abandonSocket();
  setStatus('refused');
  showKeyForm();
  page.keyInput.focus();
}

function showKeyForm() {
  page.keySection.hidden = !access.asking;
  page.keyMessage.textContent = t(access.refused ? 'keyRefused' : 'keyNeeded');
}

function acceptKey(event) {
  event.preventDefault();
  const key = page.keyInput.value.trim();
  if (!key) return;
  access.key = key;
  access.asking = false;
  remember(sessionStore(), 'khabar-key', key);
  page.keyInput.value = '';
  showKeyForm();
  setStatus('connecting');
  connect();
  refreshNumbers();
}

// ------------------------------------------------------------ the articles

function addArticle(envelope) {
  const article = kept(envelope);
  const known = articles.get(article.id);
  if (known && known.revision >= article.revision) return;
  // Deleting first moves a new revision to the newest end.
  articles.delete(article.id);
  articles.set(article.id, article);
  if (articles.size > LIST_LIMIT) articles.delete(articles.keys().next().value);
  askForFrame();
  if (isFromBefore(envelope)) return;
  arrivals.thisSecond += 1;
  arrivals.sinceSummary += 1;
  arrivals.latestTitle = article.title;
}

function isFromBefore({ time }) {
  return Date.now() < stream.catchesUpUntil && Date.parse(time) < stream.openedAt;
}

// Only what the row shows: 200 whole texts would be memory for nothing.
function kept({ data, time }) {
  const text = typeof data.text === 'string' ? data.text : '';
  return {
    id: String(data.id),
    revision: Number(data.revision) || 1,
    title: data.title ? clip(String(data.title), TITLE_CHARACTERS) : firstWords(text),
    url: webAddress(data.url),
    source: clip(String(data.source ?? ''), 80),
    language: String(data.language ?? ''),
    moment: firstMoment(data.published_at, data.received_at, time),
    entities: uniqueEntities(data.entities),
    topics: listOf(data.topics).map((topic) => clip(String(topic.label ?? topic.id), 60)),
    topicIds: listOf(data.topics).map((topic) => String(topic.id)),
    duplicateOf: data.duplicate_of ? String(data.duplicate_of) : null,
    story: data.story ? String(data.story) : null,
  };
}

function firstMoment(...dates) {
  return dates.map(Date.parse).find((moment) => !Number.isNaN(moment)) ?? null;
}

function uniqueEntities(given) {
  const unique = new Map();
  for (const { id, name, type } of listOf(given)) {
    if (id === null || id === undefined) continue;
    const kind = ENTITY_KINDS.has(type) ? type : 'MISC';
    unique.set(String(id), { id: String(id), name: clip(String(name ?? id), 80), kind });
  }
  return [...unique.values()];
}

function listOf(value) {
  return Array.isArray(value) ? value.filter((item) => item !== null && typeof item === 'object') : [];
}

function webAddress(given) {
  try {
    const address = new URL(given);
    return address.protocol === 'https:' || address.protocol === 'http:' ? address.href : null;
  } catch {
    return null;
  }
}

function isShown(article) {
  if (filter.hideCopies && article.duplicateOf) return false;
  if (filter.language && article.language !== filter.language) return false;
  return !filter.focus || isAbout(article, filter.focus);
}

function isAbout(article, { kind, id }) {
  if (kind === 'story') return article.story === id;
  if (kind === 'topic') return article.topicIds.includes(id);
  return article.entities.some((entity) => entity.id === id);
}

// One render a frame however many articles came: a burst costs no more than 200 rows.
function askForFrame() {
  if (view.frameAsked) return;
  view.frameAsked = true;
  requestAnimationFrame(() => {
    view.frameAsked = false;
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
  for (const { article, item, chips } of rows.values()) {
    item.hidden = !isShown(article);
    if (!item.hidden) shown += 1;
    for (const chip of chips) markChip(chip);
  }
  page.empty.hidden = shown > 0;
  page.waiting.textContent = '';
}

function dropStaleRows() {
  for (const [id, row] of rows) {
    if (articles.get(id) === row.article) continue;
    row.item.remove();
    rows.delete(id);
  }
}

function addNewRows() {
  const fresh = [...articles.values()].filter((article) => !rows.has(article.id));
  const fragment = document.createDocumentFragment();
  for (const article of fresh.reverse()) {
    const row = makeRow(article);
    // A whole screen flashing would draw the eye to nothing.
    if (fresh.length <= 3) row.item.classList.add('new');
    rows.set(article.id, row);
    fragment.append(row.item);
  }
  page.articles.prepend(fragment);
}

function showWaiting() {
  let waiting = 0;
  for (const [id, article] of articles) {
    if (rows.get(id)?.article !== article && isShown(article)) waiting += 1;
  }
  page.waiting.textContent = waiting ? t('waiting', { n: formats.number.format(waiting) }) : '';
}

function makeRow(article) {
  const item = element('li', article.duplicateOf ? 'article copy' : 'article');
  item.id = rowId(article.id);
  item.dir = directionOf(article.language);
  const time = makeTime(article.moment);
  const chips = article.entities.map((entity) => makeChip(entity, article.language));
  item.append(makeTitle(article), makeMeta(article, time));
  if (article.duplicateOf) item.append(makeCopyMark(article));
  if (chips.length) item.append(makeChipList(chips));
  return { article, item, time, chips };
}

function rowId(id) {
  return `article-${id}`;
}

function makeTitle(article) {
  const text = article.title || t('untitled');
  const title = foreign('h3', 'title', text, article.language);
  if (article.url) title.replaceChildren(makeLink(article.url, text));
  return title;
}

function makeLink(address, text) {
  const link = element('a', '', text);
  link.href = address;
  link.target = '_blank';
  link.rel = 'noopener noreferrer';
  return link;
}

function makeMeta(article, time) {
  const meta = element('p', 'meta');
  if (article.source) meta.append(part(foreign('span', 'source', article.source)));
  if (article.language) meta.append(part(uiText('span', 'language', languageName(article.language))));
  if (time) meta.append(part(time));
  if (article.revision > 1) {
    meta.append(uiText('span', 'revision', t('revision', { n: formats.number.format(article.revision) })));
  }
  for (const label of article.topics.slice(0, TOPICS)) meta.append(foreign('span', 'topic', label));
  return meta;
}

// The separator belongs on the row's side, so it hangs on a wrapper without own direction.
function part(child) {
  const wrapper = element('span', 'part');
  wrapper.append(child);
  return wrapper;
}

// A row may have another direction than the page; the page's own words keep theirs.
function uiText(name, className, text) {
  return foreign(name, className, text, ui.language);
}

function makeTime(moment) {
  if (moment === null) return null;
  const time = uiText('time', 'time', relativeTime(moment));
  time.dateTime = new Date(moment).toISOString();
  time.title = formats.absolute.format(moment);
  return time;
}

function updateTimes() {
  if (document.hidden) return;
  for (const { article, time } of rows.values()) {
    if (!time) continue;
    const text = relativeTime(article.moment);
    if (time.textContent !== text) time.textContent = text;
  }
}

function makeCopyMark(article) {
  const mark = element('p', 'copy-mark');
  mark.append(uiText('span', '', t('copyOf')), ' ');
  const original = articles.get(article.duplicateOf);
  if (original) {
    const link = foreign('a', '', original.title || t('untitled'), original.language);
    link.href = `#${encodeURIComponent(rowId(original.id))}`;
    mark.append(link);
  } else {
    mark.append(foreign('span', 'id', article.duplicateOf));
  }
  return mark;
}

function makeChip(entity, language) {
  const chip = foreign('button', 'chip kind', entity.name, language);
  chip.type = 'button';
  chip.dataset.kind = entity.kind;
  chip.dataset.id = entity.id;
  chip.title = t(entity.kind);
  chip.addEventListener('click', () => toggleFocus({ kind: 'entity', id: entity.id, name: entity.name }));
  return chip;
}

function markChip(chip) {
  chip.setAttribute('aria-pressed', String(isFocus('entity', chip.dataset.id)));
}

function makeChipList(chips) {
  const list = element('div', 'chips');
  list.append(...chips.slice(0, CHIPS));
  const rest = chips.slice(CHIPS);
  if (rest.length) list.append(makeMoreButton(rest));
  return list;
}

function makeMoreButton(rest) {
  const count = formats.number.format(rest.length);
  const button = element('button', 'chip more', `+${count}`);
  button.type = 'button';
  button.setAttribute('aria-label', t('moreEntities', { n: count }));
  button.addEventListener('click', () => {
    button.replaceWith(...rest);
    rest[0].focus();
  });
  return button;
}

// --------------------------------------------------------- pausing the list

function togglePause() {
  view.paused = !view.paused;
  showPause();
  askForFrame();
}

function showPause() {
  page.pause.setAttribute('aria-pressed', String(view.paused));
  page.pause.dataset.text = view.paused ? 'resume' : 'pause';
  page.pause.textContent = t(page.pause.dataset.text);
}

// Rows must not slide away from under a mouse that is aiming at one of them;
// a mouse that merely rests on the list must not stop it.
function holdWhilePointing(event) {
  if (event.pointerType !== 'mouse' || (event.movementX === 0 && event.movementY === 0)) return;
  view.heldUntil = Date.now() + POINTER_HOLD_MS;
  clearTimeout(view.holdTimer);
  view.holdTimer = setTimeout(askForFrame, POINTER_HOLD_MS + 20);
}

// -------------------------------------------------------------- the filters

function isFocus(kind, id) {
  return filter.focus?.kind === kind && filter.focus.id === id;
}

function toggleFocus(focus) {
  setFocus(isFocus(focus.kind, focus.id) ? null : focus);
}

function setFocus(focus) {
  filter.focus = focus;
  page.clearFocus.hidden = !focus;
  page.focusName.textContent = focus?.name ?? '';
  for (const panel of Object.values(panels)) panel.mark();
  sendFilter();
  render();
}

function setLanguageFilter(language) {
  filter.language = language;
  sendFilter();
  render();
}

function fillLanguageFilter() {
  const codes = new Set(panels.language.items.map((item) => item.id).filter(Boolean));
  // The chosen language stays choosable when the last hour no longer has it.
  if (filter.language) codes.add(filter.language);
  const wanted = [
    ['', t('allLanguages')],
    ...[...codes].map((code) => [code, languageName(code)]).sort((a, b) => a[1].localeCompare(b[1], ui.locale)),
  ];
  const present = [...page.languageFilter.options].map((option) => [option.value, option.text]);
  // Rebuilding an open menu would close it under the reader's hand.
  if (JSON.stringify(present) === JSON.stringify(wanted)) return;
  page.languageFilter.replaceChildren(...wanted.map(([code, name]) => new Option(name, code)));
  page.languageFilter.value = filter.language;
}

// ------------------------------------------------------ numbers and stories

async function refreshNumbers() {
  clearTimeout(numbers.timer);
  if (document.hidden || access.asking || numbers.running) return;
  const wait = numbers.notBefore - Date.now();
  if (wait <= 0) {
    numbers.running = true;
    await Promise.all([
      ask(panels.minutes, '/v1/timeseries?by=total&window=1h&step=1m', pointsOf),
      ask(panels.trends, '/v1/trends?limit=100', trendsOf),
      ask(panels.language, '/v1/aggregates?by=language&window=1h', itemsOf),
      ask(panels.source, `/v1/aggregates?by=source&window=1h&limit=${BARS}`, itemsOf),
      ask(panels.entity, `/v1/aggregates?by=entity&window=1h&limit=${BARS}`, itemsOf),
      ask(panels.pair, `/v1/aggregates?by=pair&window=24h&limit=${PAIRS}`, itemsOf),
      ask(panels.stories, '/v1/stories?window=24h&limit=10', storiesOf),
    ]);
    await askForProgress();
    showCompleteness();
    placeArticles(panels.stories.items);
    await followFocus();
    numbers.running = false;
    fillLanguageFilter();
  }
  numbers.timer = setTimeout(refreshNumbers, Math.max(REFRESH_MS, wait));
}

// Stories merge and split after their articles came.
function placeArticles(stories) {
  for (const story of stories) {
    for (const id of story.articles) {
      const article = articles.get(id);
      if (article) article.story = story.id;
    }
  }
  askForFrame();
}

// A story that was merged is redirected to the one that has its articles now.
async function followFocus() {
  const focus = filter.focus;
  if (focus?.kind !== 'story') return;
  try {
    const [story] = storiesOf({ stories: [await getJson(`/v1/stories/${encodeURIComponent(focus.id)}`)] });
    placeArticles([story]);
    if (story.id === focus.id || filter.focus !== focus) return;
    for (const article of articles.values()) {
      if (article.story === focus.id) article.story = story.id;
    }
    setFocus({ ...focus, id: story.id, name: story.title || t('untitled') });
  } catch {
    // It stays as it is until the next time.
  }
}

async function ask(panel, address, read) {
  try {
    const answer = await getJson(address);
    panel.items = read(answer);
    panel.failed = false;
    noteCompleteness(panel, answer);
  } catch {
    panel.failed = true;
  }
  panel.show();
}

// From when the window begins that an answer is about, and since when it is complete.
function noteCompleteness(panel, { rebuilding, complete_since: complete, since, points }) {
  if (rebuilding === undefined) return;
  const began = Date.parse(since ?? listOf(points)[0]?.time);
  const completeFrom = complete ? Date.parse(complete) : NaN;
  completeness.told.set(panel, { rebuilding: rebuilding === true, completeFrom: completeFrom > began ? completeFrom : NaN });
}

function isRebuilding() {
  return [...completeness.told.values()].some((one) => one.rebuilding);
}

// Only while it matters: the gateway asks Kafka and the store for it.
async function askForProgress() {
  completeness.progress = null;
  if (!isRebuilding()) return;
  try {
    const response = await fetch('/readyz', { cache: 'no-store', signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    const { aggregates } = await response.json();
    if (typeof aggregates?.progress === 'number') completeness.progress = aggregates.progress;
  } catch {
    // The banner says less.
  }
}

function showCompleteness() {
  const text = completenessText();
  page.completeness.hidden = !text;
  // Writing the same words again would make a screen reader say them again.
  if (page.completeness.textContent !== text) page.completeness.textContent = text;
}

function completenessText() {
  if (isRebuilding()) {
    if (completeness.progress === null) return t('rebuilding');
    return t('rebuildingAt', { share: formats.share.format(completeness.progress) });
  }
  const moments = [...completeness.told.values()].map((one) => one.completeFrom).filter((one) => !Number.isNaN(one));
  return moments.length ? t('completeSince', { time: formats.absolute.format(Math.max(...moments)) }) : '';
}

async function getJson(address) {
  const key = access.key;
  const response = await fetch(address, {
    headers: key ? { Accept: 'application/json', Authorization: `Bearer ${key}` } : { Accept: 'application/json' },
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  // An answer to the key before this one says nothing about this one.
  if (response.status === 401 && key === access.key && !access.asking) askForKey();
  if (response.status === 503) heedRetryAfter(response.headers.get('Retry-After'));
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.json();
}

function heedRetryAfter(seconds) {
  const wait = Math.min(Number(seconds) || 0, 60) * 1000;
  numbers.notBefore = Math.max(numbers.notBefore, Date.now() + wait);
}

function itemsOf(answer) {
  return listOf(answer.items).map((item) => ({
    id: String(item.id ?? ''),
    name: clip(String(item.name ?? ''), 80),
    count: Number(item.count) || 0,
  }));
}

function pointsOf(answer) {
  return listOf(answer.points).map((point) => ({ time: Date.parse(point.time), count: Number(point.count) || 0 }));
}

// Each thing once, in the window in which it is more surprising; they come in that order.
function trendsOf(answer) {
  const found = new Map();
  for (const trend of listOf(answer.trends)) {
    const id = `${trend.kind}:${trend.id}`;
    if (!(trend.window in TREND_WINDOWS) || found.has(id)) continue;
    found.set(id, {
      id,
      kind: String(trend.kind),
      about: String(trend.id),
      name: clip(String(trend.name ?? trend.id), TITLE_CHARACTERS),
      window: trend.window,
      count: Number(trend.count) || 0,
      expected: Number(trend.expected) || 0,
    });
  }
  return [...found.values()].slice(0, TRENDS);
}

function storiesOf(answer) {
  return listOf(Array.isArray(answer) ? answer : answer.stories ?? answer.items).map((story) => ({
    id: String(story.id),
    title: clip(String(story.title ?? ''), TITLE_CHARACTERS),
    languages: Array.isArray(story.languages) ? story.languages.map(String) : [],
    size: Number(story.size) || 0,
    sources: Array.isArray(story.sources) ? story.sources.length : Number(story.sources) || 0,
    articles: Array.isArray(story.articles) ? story.articles.map(String) : [],
  }));
}

function makePanel(name, failure, listClass, make, update, nothing = 'nothingYet') {
  const section = document.getElementById(`panel-${name}`);
  const list = section.querySelector(`.${listClass}`);
  const note = section.querySelector('.note');
  const lines = new Map();
  const panel = {
    items: [],
    failed: false,
    show() {
      section.classList.toggle('stale', panel.failed);
      note.hidden = !panel.failed && panel.items.length > 0;
      note.textContent = t(panel.failed ? failure : nothing);
      showLines(list, lines, panel.items.slice(0, BARS), make, update);
      panel.mark();
    },
    mark() {
      for (const button of list.querySelectorAll('button')) {
        button.setAttribute('aria-pressed', String(isFocus(button.dataset.focus, button.dataset.id)));
      }
    },
  };
  return panel;
}

// Lines are kept and moved, not rebuilt: a refresh must not take the focus away.
function showLines(list, lines, items, make, update) {
  const focused = document.activeElement;
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, line] of lines) {
    if (wanted.has(id)) continue;
    line.remove();
    lines.delete(id);
  }
  items.forEach((item, index) => {
    if (!lines.has(item.id)) lines.set(item.id, make(item));
    const line = lines.get(item.id);
    update(line, item, items);
    if (list.children[index] !== line) list.insertBefore(line, list.children[index] ?? null);
  });
  if (list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function barPanel(name, failure, nameOf, focusKind) {
  const make = (item) => {
    const line = element('li', 'bar');
    const label = focusKind ? makeFocusButton(focusKind, item.id, nameOf(item)) : foreign('span', 'name');
    line.append(label, element('span', 'count'), element('span', 'track'));
    line.lastChild.append(element('span', 'fill'));
    return line;
  };
  const update = (line, item, items) => {
    line.querySelector('.name').textContent = nameOf(item);
    line.querySelector('.count').textContent = formats.number.format(item.count);
    const most = Math.max(1, ...items.map((other) => other.count));
    line.querySelector('.fill').style.inlineSize = `${(100 * item.count) / most}%`;
  };
  return makePanel(name, failure, 'bars', make, update);
}

// A bar for each minute, in the direction in which the page is read; the last minute is under way.
function minutesPanel() {
  const section = document.getElementById('panel-minutes');
  const chart = section.querySelector('.minutes');
  const note = section.querySelector('.note');
  const panel = {
    items: [],
    failed: false,
    show() {
      const counts = panel.items.map((point) => point.count);
      const most = Math.max(0, ...counts);
      section.classList.toggle('stale', panel.failed);
      note.hidden = !panel.failed;
      note.textContent = t('unavailable');
      while (chart.children.length > counts.length) chart.lastChild.remove();
      while (chart.children.length < counts.length) chart.append(element('span', 'minute'));
      counts.forEach((count, index) => {
        chart.children[index].style.blockSize = `${(100 * count) / Math.max(1, most)}%`;
        chart.children[index].title = `${formats.clock.format(panel.items[index].time)} · ${formats.number.format(count)}`;
      });
      const words = { most: formats.number.format(most), last: formats.number.format(counts.at(-2) ?? 0) };
      chart.setAttribute('aria-label', t('minutesNow', words));
    },
    mark() {},
  };
  return panel;
}

function trendPanel() {
  const make = (trend) => {
    const line = element('li', 'trend');
    line.append(makeFocusButton(trend.kind, trend.about, trend.name), element('p', 'meta'));
    return line;
  };
  const update = (line, trend) => {
    line.querySelector('.name').textContent = trend.name;
    const words = { n: formats.number.format(trend.count), expected: formats.rate.format(trend.expected) };
    line.querySelector('.meta').replaceChildren(
      part(uiText('span', '', t('instead', words))),
      part(uiText('span', '', t(TREND_WINDOWS[trend.window]))),
    );
  };
  return makePanel('trends', 'trendsUnavailable', 'trends', make, update, 'nothingRises');
}

function storyPanel() {
  const make = (story) => {
    const line = element('li', 'story');
    line.append(makeFocusButton('story', story.id, story.title), element('p', 'meta'));
    return line;
  };
  const update = (line, story) => {
    const button = line.querySelector('.name');
    button.textContent = story.title || t('untitled');
    button.lang = story.languages.length === 1 ? story.languages[0] : '';
    line.querySelector('.meta').replaceChildren(
      part(uiText('span', '', t('size', { n: formats.number.format(story.size) }))),
      part(uiText('span', '', t('sources', { n: formats.number.format(story.sources) }))),
      part(uiText('span', '', story.languages.map(languageName).join(ui.language === 'ar' ? '، ' : ', '))),
    );
  };
  return makePanel('stories', 'storiesUnavailable', 'stories', make, update);
}

function makeFocusButton(kind, id, name) {
  const button = foreign('button', 'name', name);
  button.type = 'button';
  button.dataset.focus = kind;
  button.dataset.id = id;
  button.addEventListener('click', () => toggleFocus({ kind, id, name: button.textContent }));
  return button;
}
