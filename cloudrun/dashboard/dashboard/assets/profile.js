/* The volume profile: how much was traded at which price in the bars in sight, estimated from candles. */

export const ROWS = 48;
const SHARE = 0.22; // of the chart's width, for the row with the most volume

/* The volume of each of `rows` equal steps of price from the lowest to the highest of these bars: a bar's volume is
   spread evenly from its low to its high. {low, height, volumes}; null without bars. */
export function profileOf(bars, rows = ROWS) {
  if (!bars.length) return null;
  const low = bars.reduce((least, bar) => Math.min(least, bar.low), Infinity);
  const high = bars.reduce((most, bar) => Math.max(most, bar.high), -Infinity);
  const height = (high - low) / rows || 1;
  const rowOf = (price) => Math.min(rows - 1, Math.floor((price - low) / height));
  const volumes = Array.from({ length: rows }, () => 0);
  for (const bar of bars) {
    const [first, last] = [rowOf(bar.low), rowOf(bar.high)];
    const range = bar.high - bar.low;
    for (let row = first; row <= last; row++) {
      const covered = Math.min(bar.high, low + (row + 1) * height) - Math.max(bar.low, low + row * height);
      volumes[row] += range ? (bar.volume * covered) / range : bar.volume / (last - first + 1);
    }
  }
  return { low, height, volumes };
}

/* Draws a profile at the right edge. `yOf(price)`: the coordinate of a price; `colours`: {row, peak}. */
export function drawProfile(target, profile, yOf, colours) {
  if (!profile) return;
  const { low, height, volumes } = profile;
  const most = Math.max(...volumes);
  if (!most) return;
  target.useMediaCoordinateSpace(({ context, mediaSize: { width } }) => {
    volumes.forEach((volume, row) => {
      const [bottom, top] = [yOf(low + row * height), yOf(low + (row + 1) * height)];
      if (bottom === null || top === null) return;
      const wide = (width * SHARE * volume) / most;
      context.fillStyle = volume === most ? colours.peak : colours.row;
      context.fillRect(width - wide, top, wide, Math.max(1, bottom - top - 1));
    });
  });
}
