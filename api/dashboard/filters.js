// The tools that choose what is shown: language menu, near-duplicates, the button that clears the focus, and a field for
// every other filter of the table. The page's address holds what is chosen.

import { element, page } from './dom.js';
import { languageName, t, ui } from './i18n.js';
import { state } from './state.js';
import { fieldsOf, isValid, parseQuery, splitValues, writeQuery } from './table.js';
import { WORDS } from './words.js';

// `table`: the filters of the stream.
export function startFilters(table) {
  page.languageFilter.addEventListener('change', () => state.setLanguage(page.languageFilter.value));
  page.hideDuplicates.addEventListener('change', () => state.setHideDuplicates(page.hideDuplicates.checked));
  page.clearFocus.addEventListener('click', () => {
    state.setFocus(null);
    page.languageFilter.focus();
  });
  state.on('filter-changed', showFocus);
  startFields(fieldsOf(table));
  readAddress(table);
  for (const change of ['filter-changed', 'selection-changed', 'visibility-changed']) state.on(change, writeAddress);
  state.on('results-refreshed', fillLanguageMenu);
  state.on('language-changed', fillLanguageMenu);
  fillLanguageMenu();
}

function showFocus() {
  const { focus } = state.filter;
  page.clearFocus.hidden = !focus;
  page.focusName.textContent = focus?.name ?? '';
}

// The languages of the last hour, by name.
function fillLanguageMenu() {
  const codes = new Set(state.results.language.items.map((item) => item.id).filter(Boolean));
  // The chosen language stays in the menu when the last hour has no article in it.
  if (state.filter.language) codes.add(state.filter.language);
  const wanted = [
    ['', t('allLanguages')],
    ...[...codes].map((code) => [code, languageName(code)]).sort((a, b) => a[1].localeCompare(b[1], ui.locale)),
  ];
  const present = [...page.languageFilter.options].map((option) => [option.value, option.text]);
  // Rebuilding an open menu would close it.
  if (JSON.stringify(present) === JSON.stringify(wanted)) return;
  page.languageFilter.replaceChildren(...wanted.map(([code, name]) => new Option(name, code)));
  page.languageFilter.value = state.filter.language;
}

function readAddress(table) {
  const { selection, rejected, language, hideDuplicates } = parseQuery(location.search, table);
  Object.assign(state.filter, { selection, language, hideDuplicates });
  page.hideDuplicates.checked = hideDuplicates;
  for (const input of page.filterFields.querySelectorAll('input')) {
    input.value = (selection[input.name] ?? []).join(', ');
  }
  page.moreFilters.open = Object.keys(selection).length + rejected.length > 0;
  showRejected(rejected);
}

function writeAddress() {
  const query = writeQuery(state.filter);
  history.replaceState(null, '', query ? `?${query}` : location.pathname);
}

function startFields(specs) {
  page.moreFilters.hidden = specs.length === 0;
  page.filterFields.replaceChildren(...specs.map(makeField));
  page.filterForm.addEventListener('submit', (event) => {
    event.preventDefault();
    submitFields(specs);
  });
}

function makeField({ name, description }) {
  const label = element('label', 'field');
  // A filter that the page has no words for is shown by its name.
  const key = `filter_${name}`;
  const title = element('span', 'label-text', Object.hasOwn(WORDS.en, key) ? t(key) : name);
  if (Object.hasOwn(WORDS.en, key)) title.dataset.text = key;
  const input = element('input');
  input.name = name;
  input.title = description;
  input.dir = 'auto';
  label.append(title, input);
  return label;
}

function submitFields(specs) {
  const selection = {};
  const rejected = [];
  for (const spec of specs) {
    const values = splitValues(page.filterForm.elements[spec.name].value);
    if (values.some((value) => !isValid(spec, value))) rejected.push(spec.name);
    else if (values.length) selection[spec.name] = values;
  }
  showRejected(rejected);
  if (!rejected.length) state.setSelection(selection);
}

function showRejected(names) {
  page.filtersRejected.textContent = names.length ? t('filtersRejected', { names: names.join(', ') }) : '';
}
