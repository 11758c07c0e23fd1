/* Numbers, times and elements as the page writes them. */
(function (candles) {
  'use strict';
  const NONE = '–';
  const two = (n) => String(n).padStart(2, '0');

  candles.format = {
    NONE,
    /* With `decimals` of them, else with as many as it has. */
    number(value, decimals) {
      if (value === null || value === undefined) return NONE;
      return value.toLocaleString('en-US', {
        minimumFractionDigits: decimals ?? 0,
        maximumFractionDigits: decimals ?? 9,
      });
    },
    /* With `decimals`, and more where it has them. */
    price(value, decimals) {
      return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: 9 });
    },
    /* Six digits, or 1.23M. */
    short(value) {
      if (value === null || value === undefined) return NONE;
      if (Math.abs(value) < 1e4) return this.number(Number(value.toPrecision(6)));
      return new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 }).format(value);
    },
    clock(ms) {
      const time = new Date(ms);
      return `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}`;
    },
    minute: (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' '),
    percent: (share) => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(2)} %`,
    age(seconds) {
      if (seconds < 90) return `${seconds} s`;
      return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
    },
    sign: (value) => (value >= 0 ? 'up' : 'down'),
    element(name, text, className) {
      const made = document.createElement(name);
      if (text !== undefined) made.textContent = text;
      if (className) made.className = className;
      return made;
    },
  };
})((window.candles = window.candles || {}));
