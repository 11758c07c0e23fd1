/* Dark or light: the user's choice where there is one, else the system's. */

const NAME = 'theme'; // in the browser's storage

export function applyTheme() {
  const preferred = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  document.documentElement.dataset.theme = stored() || preferred;
}

export function switchTheme() {
  const name = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // A private window may have no storage: the choice ends with the page.
  }
}

function stored() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null; // as above
  }
}
