/* Elements that the page's modules make. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { element } from '../../../../../../cloudrun/dashboard/dashboard/assets/dom.js';
import { openPage } from '../../../../../support/page.mjs';

test('an element has its name, text and class', () => {
  openPage();
  const { name, textContent, className } = element('b', 12, 'up');
  assert.deepEqual({ name, textContent, className }, { name: 'b', textContent: '12', className: 'up' });
});
