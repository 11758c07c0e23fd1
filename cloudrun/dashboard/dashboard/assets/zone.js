/* Times in UTC or in the reader's own zone. The choice changes what the page writes, and nothing else: days, exports and
   links stay UTC. */
import { byId } from './dom.js';
import { setZone, zoneAt } from './format.js';
import { keep, kept } from './storage.js';

const NAME = 'zone'; // in the browser's storage
let isLocal = false;

export function applyZone() {
  isLocal = kept(NAME) === 'local';
  setZone(isLocal);
  byId('zone').textContent = zoneAt(Date.now() / 1000);
}

export function switchZone() {
  keep(NAME, isLocal ? 'utc' : 'local');
  applyZone();
}
