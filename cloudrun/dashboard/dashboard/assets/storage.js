/* The reader's choices in the browser's storage. */

export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A private window may have no storage: the choice ends with the page.
  }
}

/* The choice that was kept; null without any. */
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // as above
  }
}
