// One row of the list of feeds: its name and address, its state in words, what is wrong with it, and its actions.

import { contentElement, element, makeLink, metaPart, uiElement } from './dom.js';
import { formats, languageName, relativeTime, t } from './i18n.js';

// { item, update }: the list item, and a function that brings it up to date with its feed.
// `actions`: functions of a feed: poll, pause, resume and remove.
export function makeFeedRow(feed, actions) {
  const item = element('li', 'feed');
  const name = element('h3', 'title');
  const address = element('p', 'address');
  const meta = element('p', 'meta');
  const wrong = element('div', 'wrong');
  const buttons = makeButtons(actions, () => row.feed);
  const row = { feed, item, update };
  item.id = `feed-${feed.id}`;
  item.append(name, address, meta, wrong, buttons.group);
  update(feed);
  return row;

  function update(changed) {
    row.feed = changed;
    item.dataset.status = changed.status;
    replaceText(name, contentElement('span', '', changed.name, changed.language));
    const link = makeLink(changed.url, changed.url);
    link.dir = 'ltr';
    replaceText(address, link);
    meta.replaceChildren(...metaParts(changed));
    wrong.replaceChildren(...wrongParts(changed));
    buttons.update(changed);
  }
}

// The keyboard focus stays on a link that has not changed.
function replaceText(node, child) {
  if (node.textContent !== child.textContent) node.replaceChildren(child);
}

function metaParts(feed) {
  const parts = [uiElement('span', 'feed-status', t(`status_${feed.status}`))];
  parts.push(uiElement('span', '', t('perDay', { n: formats.decimal.format(feed.perDay) })));
  parts.push(feed.readAt === null ? uiElement('span', '', t('neverRead')) : timePart('lastRead', feed.readAt));
  // While it is due it is being polled.
  if (feed.nextAt !== null) parts.push(timePart('nextPoll', Math.max(feed.nextAt, Date.now())));
  if (feed.name !== feed.source) parts.push(contentElement('span', 'source', feed.source));
  if (feed.language) parts.push(uiElement('span', '', languageName(feed.language)));
  return parts.map(metaPart);
}

function timePart(key, moment) {
  const part = uiElement('time', 'time', t(key, { time: relativeTime(moment) }));
  part.dateTime = new Date(moment).toISOString();
  part.title = formats.dateTime.format(moment);
  return part;
}

function wrongParts(feed) {
  const parts = [];
  if (feed.error) {
    const error = line('error', contentElement('span', '', feed.error, 'en'));
    if (feed.failures > 1) error.append(' ', uiElement('span', 'count', t('failures', { n: feed.failures })));
    parts.push(error);
  }
  if (feed.movedTo) {
    const link = makeLink(feed.movedTo, feed.movedTo);
    link.dir = 'ltr';
    parts.push(line('', uiElement('span', '', t('movedTo')), ' ', link));
  }
  if (feed.rejected) parts.push(line('', uiElement('span', '', t('rejectedEntries', { n: feed.rejected }))));
  return [...parts, ...feed.problems.map((problem) => line('', contentElement('span', '', problem, 'en')))];
}

// A line in the direction of the page, whatever the direction of what is in it.
function line(className, ...children) {
  const paragraph = element('p', className);
  paragraph.append(...children);
  return paragraph;
}

function makeButtons(actions, current) {
  const group = element('div', 'feed-actions');
  const poll = makeButton(() => actions.poll(current()));
  const pause = makeButton(() => (current().status === 'paused' ? actions.resume : actions.pause)(current()));
  const remove = makeButton(askAgain);
  const confirm = makeButton(() => actions.remove(current()));
  const keep = makeButton(keepFeed);
  confirm.classList.add('danger');
  group.append(poll, pause, remove, confirm, keep);
  let asking = false;
  return { group, update };

  function update(feed) {
    setText(poll, 'pollNow', feed);
    setText(pause, feed.status === 'paused' ? 'resume' : 'pause', feed);
    setText(remove, 'removeFeed', feed);
    setText(confirm, 'confirmRemove', feed);
    setText(keep, 'keepFeed', feed);
    poll.disabled = feed.status === 'paused';
    remove.disabled = feed.isOfFile;
    remove.title = feed.isOfFile ? t('feedOfFile') : '';
    for (const [button, hidden] of [[poll, asking], [pause, asking], [remove, asking], [confirm, !asking], [keep, !asking]]) {
      button.hidden = hidden;
    }
  }

  function askAgain() {
    asking = true;
    update(current());
    keep.focus();
  }

  function keepFeed() {
    asking = false;
    update(current());
    remove.focus();
  }
}

function makeButton(act) {
  const button = uiElement('button', 'quiet', '');
  button.type = 'button';
  button.addEventListener('click', act);
  return button;
}

// All rows have the same buttons: a screen reader hears which feed it is.
function setText(button, key, feed) {
  const text = t(key);
  if (button.textContent !== text) button.textContent = text;
  button.setAttribute('aria-label', `${text}: ${feed.name}`);
}
