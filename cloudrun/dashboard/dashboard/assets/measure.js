/* The measure: while it is on, a drag over the chart shows what lies between its ends. */
import { byId, element } from './dom.js';
import * as format from './format.js';

/* What lies between two points {place, price} of a chart with these bars of `step` seconds. */
export function measured(bars, from, to, step) {
  const inside = (place) => Math.min(bars.length - 1, Math.max(0, Math.round(place)));
  const [first, last] = [inside(from.place), inside(to.place)].toSorted((a, b) => a - b);
  return {
    bars: last - first + 1,
    seconds: bars[last].time - bars[first].time + step,
    change: to.price - from.price,
    share: to.price / from.price - 1,
    volume: bars.slice(first, last + 1).reduce((sum, { volume }) => sum + volume, 0),
  };
}

/* `chart`: the chart in `#chart`; `units()`: of its symbol; `onSwitch(isOn)`. */
export function createMeasure({ chart, units, onSwitch }) {
  const layer = element('div', undefined, 'measure-layer');
  layer.hidden = true;
  const box = element('div', undefined, 'measured');
  const text = element('div', undefined, 'measured-text');
  layer.append(box, text);
  byId('chart').append(layer);
  let start = null; // {x, y}

  function at(event) {
    const { left, top } = layer.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  function show(end) {
    const [from, to] = [chart.pointAt(start.x, start.y), chart.pointAt(end.x, end.y)];
    if (!from || !to || !chart.bars.length) return;
    const found = measured(chart.bars, from, to, chart.step);
    const [left, top] = [Math.min(start.x, end.x), Math.min(start.y, end.y)];
    const [width, height] = [Math.abs(end.x - start.x), Math.abs(end.y - start.y)];
    Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    box.className = `measured ${format.sign(found.change)}`;
    const signed = `${found.change < 0 ? '-' : '+'}${format.price(Math.abs(Number(found.change.toFixed(chart.digits))), chart.digits)}`;
    text.textContent = [
      `${signed} (${format.percent(found.share)})`,
      `${found.bars} ${found.bars === 1 ? 'bar' : 'bars'}, ${format.age(found.seconds)}`,
      `volume ${format.short(found.volume)} ${units().volume}`,
    ].join('\n');
    const room = layer.getBoundingClientRect().width;
    Object.assign(text.style, { left: `${Math.max(4, Math.min(left, room - 190))}px`, top: `${top + height + 6}px` });
    box.hidden = text.hidden = false;
  }

  function clear() {
    start = null;
    box.hidden = text.hidden = true;
  }

  function turn(isOn) {
    layer.hidden = !isOn;
    clear();
    onSwitch(isOn);
  }

  layer.addEventListener('pointerdown', (event) => {
    layer.setPointerCapture(event.pointerId);
    clear();
    start = at(event);
  });
  layer.addEventListener('pointermove', (event) => start && show(at(event)));
  layer.addEventListener('pointerup', () => (start = null));
  clear();

  return {
    get isOn() {
      return !layer.hidden;
    },
    turn,
  };
}
