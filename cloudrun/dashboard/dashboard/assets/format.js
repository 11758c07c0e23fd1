/* Numbers and times as the page writes them. */

export const NONE = '–';
export const DAY = 86400; // seconds

const two = (n) => String(n).padStart(2, '0');

/* The decimals of a value that its float holds exactly: a float keeps 15 digits. At most 9, as in the stores. */
const exactDecimals = (value) => Math.max(0, Math.min(9, 15 - String(Math.trunc(Math.abs(value))).length));

/* A value with this many decimals; without `decimals`, with as many as it has. */
export function number(value, decimals) {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: decimals ?? 0,
    maximumFractionDigits: decimals ?? exactDecimals(value),
  });
}

/* A value with at least this many decimals, and with more where it has more. */
export function price(value, decimals) {
  return number(value, Math.max(decimals, decimalsOf(value)));
}

/* The number of decimals that a value has. */
export function decimalsOf(value) {
  return (value.toFixed(exactDecimals(value)).replace(/0+$/, '').split('.')[1] || '').length;
}

/* A value in six digits, or with a letter: 1.23M. */
export function short(value) {
  if (value === null || value === undefined) return NONE;
  if (Math.abs(value) < 1e4) return number(Number(value.toPrecision(6)));
  return new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 }).format(value);
}

let isLocal = false; // times are written in the reader's zone

/* Writes times in the reader's zone from now on, else in UTC. */
export function setZone(isReaders) {
  isLocal = isReaders;
}

/* Minutes by which the zone of what is written is ahead of UTC at a time. */
const aheadAt = (ms) => (isLocal ? -new Date(ms).getTimezoneOffset() : 0);

/* The time as ISO 8601 writes it, in the zone of what is written. */
const iso = (ms) => new Date(ms + aheadAt(ms) * 60000).toISOString();

/* The name of the zone at a time: UTC, or UTC+02:00. */
export function zoneAt(seconds) {
  const ahead = aheadAt(seconds * 1000);
  if (!isLocal) return 'UTC';
  const size = Math.abs(ahead);
  return `UTC${ahead < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function clock(ms) {
  return iso(ms).slice(11, 19);
}

export function minute(seconds) {
  return iso(seconds * 1000).slice(0, 16).replace('T', ' ');
}

/* The text at a mark of the time scale, which the library chooses by UTC; null leaves it to the library. `isDate`: the
   mark is where a UTC day begins. */
export function tick(seconds, isDate) {
  if (!isLocal) return null;
  const text = minute(seconds);
  const time = text.slice(11);
  if (!isDate) return time;
  return time === '00:00' ? text.slice(5, 10) : `${text.slice(5, 10)} ${time}`;
}

export function percent(share) {
  const rounded = Number((100 * share).toFixed(2)) || 0; // not -0
  return `${rounded >= 0 ? '+' : ''}${rounded.toFixed(2)} %`;
}

export function age(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 2 * DAY ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / DAY)} d`;
}

/* The class of an element whose value rose or fell. */
export function sign(value) {
  return value >= 0 ? 'up' : 'down';
}
