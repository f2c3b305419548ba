// sessionStorage and localStorage, where the browser allows them. Without them a value lasts as long as the page.

// Reading the property throws where the user has blocked site data.
export function sessionStore() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

export function localStore() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export function readItem(store, name) {
  return store?.getItem(name) ?? '';
}

export function writeItem(store, name, value) {
  try {
    store?.setItem(name, value);
  } catch {
    // The store is full or read-only.
  }
}

export function removeItem(store, name) {
  store?.removeItem(name);
}
