// The page's language: texts, formats of numbers and times, names and directions of languages.

import { state } from './state.js';
import { WORDS } from './words.js';

const RTL_LANGUAGES = new Set(['ar', 'arz', 'ary', 'ckb', 'dv', 'fa', 'he', 'ps', 'sd', 'ug', 'ur', 'yi']);

// `language`: en or ar. `locale` also has the region where the browser names one.
export const ui = { language: 'en', locale: 'en' };
export const formats = {};

// English for what is not known. The browser's region decides which digits and calendar words are used.
export function setUiLanguage(language, browserLanguage = navigator.language) {
  ui.language = Object.hasOwn(WORDS, language) ? language : 'en';
  ui.locale = browserLanguage.toLowerCase().startsWith(ui.language) ? browserLanguage : ui.language;
  formats.number = new Intl.NumberFormat(ui.locale);
  formats.decimal = new Intl.NumberFormat(ui.locale, { maximumFractionDigits: 1 });
  formats.percent = new Intl.NumberFormat(ui.locale, { style: 'percent' });
  formats.relative = new Intl.RelativeTimeFormat(ui.locale, { numeric: 'auto', style: 'short' });
  formats.dateTime = new Intl.DateTimeFormat(ui.locale, { dateStyle: 'medium', timeStyle: 'short' });
  formats.clock = new Intl.DateTimeFormat(ui.locale, { timeStyle: 'short' });
  formats.languages = new Intl.DisplayNames([ui.locale], { type: 'language' });
  state.emit('language-changed');
}

export function preferredUiLanguage(browserLanguage = navigator.language) {
  return browserLanguage.toLowerCase().startsWith('ar') ? 'ar' : 'en';
}

export function otherUiLanguage() {
  return ui.language === 'ar' ? 'en' : 'ar';
}

// The text of a key, with its {placeholders} filled in. Numbers are formatted as whole numbers; pass text for others.
export function t(key, values = {}) {
  return WORDS[ui.language][key].replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === 'number' ? formats.number.format(value) : value;
  });
}

export function languageName(code) {
  if (!code) return '';
  // Intl calls the undetermined language "root".
  if (code === 'und') return code;
  try {
    return formats.languages.of(code) ?? code;
  } catch {
    return code;
  }
}

export function directionOf(language) {
  return RTL_LANGUAGES.has((language ?? '').split('-')[0].toLowerCase()) ? 'rtl' : 'ltr';
}

export function relativeTime(moment, now = Date.now()) {
  const seconds = Math.round((moment - now) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 5) return formats.relative.format(0, 'second');
  if (distance < 60) return formats.relative.format(seconds, 'second');
  if (distance < 3600) return formats.relative.format(Math.trunc(seconds / 60), 'minute');
  if (distance < 86400) return formats.relative.format(Math.trunc(seconds / 3600), 'hour');
  return formats.relative.format(Math.trunc(seconds / 86400), 'day');
}

// Separates the items of a list.
export function listSeparator() {
  return ui.language === 'ar' ? '، ' : ', ';
}
