// From the gateway's JSON to what the page keeps. Pure functions: no DOM, no state.
// Input is not trusted: a field that is missing or has the wrong type becomes an empty value.

const TITLE_CHARACTERS = 300;
const NAME_CHARACTERS = 80;
const TOPIC_CHARACTERS = 60;
const REASON_CHARACTERS = 80;
const EXCERPT_WORDS = 24;
const MAX_TRENDS = 8;
const ENTITY_TYPES = new Set(['PER', 'LOC', 'ORG', 'MISC']);

// The windows of trends that the page shows, each with the key of its text in words.js.
export const TREND_WINDOWS = { '15m': 'trend15m', '1h': 'trend1h' };

// The article in an event: only what a row shows. 200 full texts would waste memory.
export function parseArticle({ data, time }) {
  const text = typeof data.text === 'string' ? data.text : '';
  const topics = objects(data.topics);
  return {
    id: String(data.id),
    revision: Number(data.revision) || 1,
    title: data.title ? clip(String(data.title), TITLE_CHARACTERS) : excerpt(text),
    url: webAddress(data.url),
    source: clip(String(data.source ?? ''), NAME_CHARACTERS),
    language: String(data.language ?? ''),
    moment: firstValidDate(data.published_at, data.received_at, time),
    entities: uniqueEntities(data.entities),
    topics: topics.map((topic) => clip(String(topic.label ?? topic.id), TOPIC_CHARACTERS)),
    topicIds: topics.map((topic) => String(topic.id)),
    duplicateOf: data.duplicate_of ? String(data.duplicate_of) : null,
    story: data.story ? String(data.story) : null,
  };
}

// The rows of /v1/aggregates.
export function parseItems(answer) {
  return objects(answer.items).map((item) => ({
    id: String(item.id ?? ''),
    name: clip(String(item.name ?? ''), NAME_CHARACTERS),
    count: Number(item.count) || 0,
  }));
}

// The points of /v1/timeseries; `time` in milliseconds.
export function parsePoints(answer) {
  return objects(answer.points).map((point) => ({ time: Date.parse(point.time), count: Number(point.count) || 0 }));
}

// The trends of /v1/trends, most surprising first. What rises in both windows appears once, in the window that
// comes first.
export function parseTrends(answer) {
  const found = new Map();
  for (const trend of objects(answer.trends)) {
    const id = `${trend.kind}:${trend.id}`;
    if (!Object.hasOwn(TREND_WINDOWS, trend.window) || found.has(id)) continue;
    found.set(id, {
      id,
      kind: String(trend.kind),
      subject: String(trend.id),
      name: clip(String(trend.name ?? trend.id), TITLE_CHARACTERS),
      window: trend.window,
      count: Number(trend.count) || 0,
      expected: Number(trend.expected) || 0,
    });
  }
  return [...found.values()].slice(0, MAX_TRENDS);
}

// The stories of /v1/stories, as an object with `stories` or as a bare list.
export function parseStories(answer) {
  return objects(Array.isArray(answer) ? answer : answer.stories ?? answer.items).map((story) => ({
    id: String(story.id),
    title: clip(String(story.title ?? ''), TITLE_CHARACTERS),
    languages: Array.isArray(story.languages) ? story.languages.map(String) : [],
    size: Number(story.size) || 0,
    sources: Array.isArray(story.sources) ? story.sources.length : Number(story.sources) || 0,
    articles: Array.isArray(story.articles) ? story.articles.map(String) : [],
  }));
}

// Whether the numbers of an answer are being rebuilt, and since when they are complete (milliseconds; null where they
// are complete for the whole window). Null for an answer without numbers.
export function parseCompleteness({ rebuilding, complete_since: completeSince, since, points }) {
  if (rebuilding === undefined) return null;
  const windowStart = Date.parse(since ?? objects(points)[0]?.time);
  const completeFrom = completeSince ? Date.parse(completeSince) : NaN;
  return { rebuilding: rebuilding === true, completeFrom: completeFrom > windowStart ? completeFrom : null };
}

// The answer of /readyz: whether a pushed article would come out, the reasons why not, and how much of a rebuild is
// done (0 to 1; null where unknown).
export function parseReadiness({ ready, checks, aggregates }) {
  const failing = Object.entries(checks ?? {}).filter(([, reason]) => reason !== 'ok');
  const reasons = clip(failing.map(([part, reason]) => `${part}: ${clip(String(reason), REASON_CHARACTERS)}`).join('; '), TITLE_CHARACTERS);
  const progress = typeof aggregates?.progress === 'number' ? aggregates.progress : null;
  return { readiness: typeof ready === 'boolean' ? { ready, reasons } : null, progress };
}

// One line of a frame as an object; null where it is blank or not JSON.
export function parseLine(line) {
  if (!line.trim()) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

export function clip(text, length) {
  if (text.length <= length) return text;
  // A cut may fall inside a surrogate pair, and half a pair is not text.
  return `${text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

// The first words of a text, in place of a title.
export function excerpt(text) {
  const start = text.slice(0, TITLE_CHARACTERS).trim();
  const words = start.split(/\s+/).slice(0, EXCERPT_WORDS).join(' ');
  return words.length < text.trim().length ? `${words}…` : words;
}

// The address where it is http or https, otherwise null: a link must not run a script.
export function webAddress(given) {
  try {
    const address = new URL(given);
    return address.protocol === 'https:' || address.protocol === 'http:' ? address.href : null;
  } catch {
    return null;
  }
}

// The first of these dates that can be parsed, in milliseconds, or null.
export function firstValidDate(...dates) {
  return dates.map(Date.parse).find((moment) => !Number.isNaN(moment)) ?? null;
}

// The objects in a list; nothing for what is not a list.
function objects(value) {
  return Array.isArray(value) ? value.filter((item) => item !== null && typeof item === 'object') : [];
}

function uniqueEntities(value) {
  const unique = new Map();
  for (const { id, name, type } of objects(value)) {
    if (id === null || id === undefined) continue;
    unique.set(String(id), {
      id: String(id),
      name: clip(String(name ?? id), NAME_CHARACTERS),
      type: ENTITY_TYPES.has(type) ? type : 'MISC',
    });
  }
  return [...unique.values()];
}
