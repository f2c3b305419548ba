// storage.js: values are kept where the browser allows it, and a browser that does not raises nothing.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { localStore, readItem, removeItem, sessionStore, writeItem } from '../../api/dashboard/storage.js';

afterEach(() => {
  delete globalThis.window;
});

function memoryStore() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => items.set(name, value),
    removeItem: (name) => items.delete(name),
  };
}

test('a value is read back until it is removed', () => {
  globalThis.window = { sessionStorage: memoryStore(), localStorage: memoryStore() };
  writeItem(sessionStore(), 'name', 'value');
  assert.equal(readItem(sessionStore(), 'name'), 'value');
  assert.equal(readItem(localStore(), 'name'), '');
  removeItem(sessionStore(), 'name');
  assert.equal(readItem(sessionStore(), 'name'), '');
});

test('a browser that blocks site data has no stores', () => {
  globalThis.window = {
    get sessionStorage() { throw new Error('blocked'); },
    get localStorage() { throw new Error('blocked'); },
  };
  for (const store of [sessionStore(), localStore()]) {
    assert.equal(store, null);
    writeItem(store, 'name', 'value');
    removeItem(store, 'name');
    assert.equal(readItem(store, 'name'), '');
  }
});

test('a full store keeps nothing and raises nothing', () => {
  const full = { ...memoryStore(), setItem: () => { throw new Error('quota'); } };
  writeItem(full, 'name', 'value');
  assert.equal(readItem(full, 'name'), '');
});
