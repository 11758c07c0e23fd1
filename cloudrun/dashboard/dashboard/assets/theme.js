/* Dark or light: the reader's choice where there is one, else the system's. */
import { keep, kept } from './storage.js';

const NAME = 'theme'; // in the browser's storage

export function applyTheme() {
  const preferred = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  document.documentElement.dataset.theme = kept(NAME) || preferred;
}

export function switchTheme() {
  const name = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = name;
  keep(NAME, name);
}
