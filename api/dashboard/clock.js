// Time and timers. Tests of connection.js and numbers.js pass a clock that they advance themselves.

export const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer),
};
