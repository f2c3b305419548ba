// The form for the API key, which is kept in this tab's session storage.

import { page } from './dom.js';
import { t } from './i18n.js';
import { state } from './state.js';
import { readItem, removeItem, sessionStore, writeItem } from './storage.js';

const STORED_KEY = 'khabar-key';

export function startKey() {
  state.access.key = readItem(sessionStore(), STORED_KEY);
  page.keyForm.addEventListener('submit', submitKey);
  state.on('key-required', () => {
    removeItem(sessionStore(), STORED_KEY);
    showForm();
    page.keyInput.focus();
  });
  state.on('language-changed', showForm);
}

function showForm() {
  page.keySection.hidden = !state.access.asking;
  page.keyMessage.textContent = t(state.access.refused ? 'keyRefused' : 'keyRequired');
}

function submitKey(event) {
  event.preventDefault();
  const key = page.keyInput.value.trim();
  if (!key) return;
  writeItem(sessionStore(), STORED_KEY, key);
  page.keyInput.value = '';
  state.acceptKey(key);
  showForm();
}
