/* Big trades, marked on the chart at their bar and price: a circle that grows with the size. */
import { placeOf } from './places.js';

const LEAST = 3; // pixels of radius, of a trade as large as the threshold
const MOST = 14;

/* The radius of a trade of `size` where `threshold` makes a trade big. */
export function radiusOf(size, threshold) {
  return Math.min(MOST, LEAST * (1 + Math.log2(Math.max(1, size / threshold))));
}

/* Draws the trades ({time (ms), price, size, bought}) that lie in the bars. `xOf(place)`, `yOf(price)`: coordinates. */
export function drawBigTrades(target, trades, { bars, step, threshold, xOf, yOf, colours }) {
  target.useMediaCoordinateSpace(({ context }) => {
    context.setLineDash([]);
    for (const { time, price, size, bought } of trades) {
      const place = placeOf(bars, time / 1000);
      if (place < 0 || time / 1000 >= bars[place].time + step) continue;
      const [x, y] = [xOf(place), yOf(price)];
      if (x === null || y === null) continue;
      context.beginPath();
      context.arc(x, y, radiusOf(size, threshold), 0, 2 * Math.PI);
      context.fillStyle = bought ? colours['up-soft'] : colours['down-soft'];
      context.strokeStyle = bought ? colours.up : colours.down;
      context.fill();
      context.stroke();
    }
  });
}
