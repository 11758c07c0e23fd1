/* Numbers, times and elements as the page writes them. */
(function (candles) {
  'use strict';
  const NONE = '–';
  const DAY = 86400;
  const two = (n) => String(n).padStart(2, '0');
  /* A float keeps 15 digits; those after them are not the number's. At most 9 decimals, as everywhere. */
  const kept = (value) => Math.max(0, Math.min(9, 15 - String(Math.trunc(Math.abs(value))).length));

  candles.format = {
    NONE,
    /* With `decimals` of them, else with as many as it has. */
    number(value, decimals) {
      if (value === null || value === undefined) return NONE;
      return value.toLocaleString('en-US', {
        minimumFractionDigits: decimals ?? 0,
        maximumFractionDigits: decimals ?? kept(value),
      });
    },
    /* With `decimals`, and more where it has them. */
    price(value, decimals) {
      return this.number(value, Math.max(decimals, this.decimals(value)));
    },
    /* How many decimals it has. */
    decimals: (value) => (value.toFixed(kept(value)).replace(/0+$/, '').split('.')[1] || '').length,
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
    percent(share) {
      const rounded = Number((100 * share).toFixed(2)) || 0; // not -0
      return `${rounded >= 0 ? '+' : ''}${rounded.toFixed(2)} %`;
    },
    age(seconds) {
      if (seconds < 90) return `${seconds} s`;
      if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
      return seconds < 2 * DAY ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / DAY)} d`;
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
