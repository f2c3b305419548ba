// The stream's filters as the gateway describes them in filters.json, and the page's address that holds their values.
// Pure functions: no DOM, no state.

// The page has its own controls for these, or needs one value of them.
const OWN = new Set(['type', 'language', 'duplicates']);

// Without the table the page has only its own filters.
export async function loadTable(fetch = globalThis.fetch) {
  try {
    const response = await fetch('dashboard/filters.json', { signal: AbortSignal.timeout(3_000) });
    const { filters } = await response.json();
    return Array.isArray(filters) ? filters : [];
  } catch {
    return [];
  }
}

// The filters that get a field of their own.
export function fieldsOf(table) {
  return table.filter(({ name }) => !OWN.has(name));
}

// The values in what somebody typed, or in the address.
export function splitValues(text) {
  return text.split(',').map((value) => value.trim()).filter(Boolean);
}

export function isValid({ values, pattern }, value) {
  if (values?.length) return values.includes(value);
  return !pattern || new RegExp(`^(?:${pattern})$`, 'su').test(value);
}

// What the page's address asks for. `rejected`: the names of filters with a value that the table does not allow.
export function parseQuery(search, table) {
  const given = new URLSearchParams(search);
  const selection = {};
  const rejected = [];
  for (const spec of fieldsOf(table)) {
    const values = given.getAll(spec.name).flatMap(splitValues);
    const valid = values.filter((value) => isValid(spec, value));
    if (valid.length < values.length) rejected.push(spec.name);
    if (valid.length) selection[spec.name] = valid;
  }
  const language = given.get('language') ?? '';
  const spec = table.find(({ name }) => name === 'language');
  const known = Boolean(spec) && isValid(spec, language);
  if (language && !known) rejected.push('language');
  return {
    selection, rejected, language: known ? language : '', hideDuplicates: given.get('duplicates') === 'hide',
  };
}

// The address's query for what the page shows: a link to it shows the same.
export function writeQuery({ focus, language, hideDuplicates, selection }) {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(selection)) query.set(name, values.join(','));
  if (focus) query.set(focus.kind, focus.id);
  if (language) query.set('language', language);
  if (hideDuplicates) query.set('duplicates', 'hide');
  return query.toString();
}
