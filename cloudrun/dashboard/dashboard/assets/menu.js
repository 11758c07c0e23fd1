/* The menu of symbols under the button that shows the chosen one. */
import { byId, element } from './dom.js';

const TYPING_MS = 1000; // a longer pause begins another word

/* `symbols()`, `chosen()`: what the menu offers and marks; `choose(symbol)`: called for a click. */
export function createSymbolMenu({ symbols, chosen, choose }) {
  let typed = '';
  let typedAt = 0;

  const menu = () => byId('symbols');

  function close() {
    if (!menu()) return;
    const hadFocus = menu().contains(document.activeElement);
    menu().remove();
    byId('symbol').setAttribute('aria-expanded', 'false');
    if (hadFocus) byId('symbol').focus();
  }

  function optionOf(symbol) {
    const option = element('button', symbol);
    option.setAttribute('role', 'option');
    option.setAttribute('aria-selected', symbol === chosen());
    option.addEventListener('click', () => {
      close();
      choose(symbol);
    });
    return option;
  }

  function toggle() {
    if (menu()) return close();
    const made = element('div', undefined, 'menu');
    made.id = 'symbols';
    made.setAttribute('role', 'listbox');
    made.append(...symbols().map(optionOf));
    const box = byId('symbol').getBoundingClientRect();
    Object.assign(made.style, { left: `${box.left}px`, top: `${box.bottom + 4}px` });
    document.body.append(made);
    byId('symbol').setAttribute('aria-expanded', 'true');
    (made.querySelector('[aria-selected=true]') || made.firstElementChild)?.focus();
  }

  /* Moves the focus to the symbol that begins with what was typed without a pause. */
  function find(options, letter) {
    typed = Date.now() - typedAt < TYPING_MS ? typed + letter : letter;
    typedAt = Date.now();
    options.find((option) => option.textContent.startsWith(typed))?.focus();
  }

  function press(event) {
    if (event.key === 'Escape' || event.key === 'Tab') return close();
    const options = [...menu().children];
    const place = options.indexOf(document.activeElement);
    const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: options.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      options[next]?.focus();
    } else if (/^[a-z0-9]$/i.test(event.key)) {
      find(options, event.key.toUpperCase());
    }
  }

  return {
    toggle,
    close,
    /* A key that was pressed while the menu is open. */
    press,
    get isOpen() {
      return Boolean(menu());
    },
  };
}
