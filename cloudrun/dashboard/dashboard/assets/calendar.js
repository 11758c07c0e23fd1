/* The coverage calendar: a dialog with what became of each day of each symbol, a column a week, a row a weekday. */
import { get } from './api.js';
import { byId, element } from './dom.js';
import * as format from './format.js';

const MOVES = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 }; // days

/* Opens the dialog and fills it. `chosen`: the symbol that is unfolded. `states`: the names of what may become of a
   day. `open(symbol, day)`: called for a day that was clicked, in seconds. */
export async function openCalendar({ symbols, chosen, states, open }) {
  const box = byId('calendar');
  box.replaceChildren(element('p', 'loading'));
  byId('keys').replaceChildren(...states.map(key));
  byId('coverage').showModal();
  let answers;
  try {
    answers = await Promise.all(symbols.map((symbol) => get('/api/coverage', { symbol })));
  } catch (error) {
    box.replaceChildren(element('p', error.message));
    return;
  }
  box.replaceChildren(...answers.map((answer) => yearsOf(answer, { chosen, states, open })));
  box.querySelector('[open]')?.scrollIntoView();
}

function key(state) {
  const label = element('span', state.replace('_', ' '));
  label.prepend(element('i', undefined, `day ${state}`));
  return label;
}

/* A symbol's counts of days, and its years, the newest first; these are made when the element is unfolded. */
function yearsOf({ symbol, days, fault, age_s: age }, { chosen, states, open }) {
  const known = age === null ? 'not known now' : `as of ${format.age(age)} ago`;
  const all = Object.values(days);
  const counts = states
    .map((state) => [all.filter((day) => day.state === state).length, state.replace('_', ' ')])
    .filter(([count]) => count)
    .map((words) => words.join(' '));
  const box = element('details');
  const summary = element('summary', symbol);
  summary.append(element('span', counts.join(' · ') || 'no day is loaded', 'key'));
  box.append(summary);
  if (fault) box.append(element('p', `${known}: ${fault}`));
  let isFilled = false;
  box.addEventListener('toggle', () => {
    if (isFilled) return;
    isFilled = true;
    for (const [year, dates] of [...byYear(Object.keys(days))].toReversed()) {
      box.append(element('h4', year), grid(symbol, year, dates, days, open));
    }
  });
  box.open = symbol === chosen;
  return box;
}

/* The days of a year: one stop for the Tab key, from which the arrows move. */
function grid(symbol, year, dates, days, open) {
  const made = element('div', undefined, 'year');
  const cells = dates.map((date) => cell(symbol, date, days[date], open));
  cells[cells.length - 1].tabIndex = 0;
  made.append(...months(year), ...cells);
  made.addEventListener('keydown', (event) => {
    const next = cells[cells.indexOf(event.target) + MOVES[event.key]];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  return made;
}

/* A day's place in its year: the column of its week, and the row of its weekday from Monday on. */
function placeOf(date) {
  const newYear = new Date(`${date.slice(0, 4)}-01-01T00:00Z`);
  const place = Math.round((Date.parse(`${date}T00:00Z`) - newYear) / 864e5) + ((newYear.getUTCDay() + 6) % 7);
  return { column: Math.floor(place / 7) + 1, row: (place % 7) + 2 };
}

function months(year) {
  return [...'JFMAMJJASOND'].map((letter, i) => {
    const made = element('span', letter, 'month');
    made.style.gridColumn = placeOf(`${year}-${String(i + 1).padStart(2, '0')}-01`).column;
    return made;
  });
}

function byYear(dates) {
  const years = new Map();
  for (const date of dates) {
    const year = date.slice(0, 4);
    if (!years.has(year)) years.set(year, []);
    years.get(year).push(date);
  }
  return years;
}

function cell(symbol, date, day, open) {
  const made = element('button', undefined, `day ${day.state}`);
  const { column, row } = placeOf(date);
  [made.style.gridColumn, made.style.gridRow, made.tabIndex] = [column, row, -1];
  const rows = day.quarantined ? `, ${day.quarantined} rows quarantined` : '';
  made.title = `${date}: ${day.state}${day.reason ? `, ${day.reason}` : ''}${rows}`;
  made.setAttribute('aria-label', made.title);
  made.addEventListener('click', () => open(symbol, Date.parse(`${date}T00:00Z`) / 1000));
  return made;
}
