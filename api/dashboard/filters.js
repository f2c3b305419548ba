// The tools that choose what is shown: language menu, near-duplicates, and the button that clears the focus.

import { page } from './dom.js';
import { languageName, t, ui } from './i18n.js';
import { state } from './state.js';

export function startFilters() {
  page.languageFilter.addEventListener('change', () => state.setLanguage(page.languageFilter.value));
  page.hideDuplicates.addEventListener('change', () => state.setHideDuplicates(page.hideDuplicates.checked));
  page.clearFocus.addEventListener('click', () => {
    state.setFocus(null);
    page.languageFilter.focus();
  });
  state.on('filter-changed', showFocus);
  state.on('results-refreshed', fillLanguageMenu);
  state.on('language-changed', fillLanguageMenu);
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
