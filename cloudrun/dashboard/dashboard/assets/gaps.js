/* Time without candles, drawn onto the chart: bars stand side by side, whatever time lies between them. */
import { age } from './format.js';

const LEAST = 600; // seconds; a quiet market leaves out single minutes

/* Seconds without candles before the bar at `place`, where each bar lasts `step` seconds. */
export function gapBefore(bars, place, step) {
  return place > 0 ? bars[place].time - bars[place - 1].time - step : 0;
}

/* Draws a line at each long gap in sight, and a text beside it where that covers no other one. `target`: the library's
   canvas. */
export function drawGaps(target, timeScale, bars, step, { colour, font }) {
  const seen = timeScale.getVisibleLogicalRange();
  if (!seen) return;
  target.useMediaCoordinateSpace(({ context, mediaSize: { width, height } }) => {
    context.strokeStyle = context.fillStyle = colour;
    context.font = `11px ${font}`;
    context.setLineDash([2, 4]);
    let free = 0; // where the text before ends
    for (let i = Math.max(1, Math.floor(seen.from)); i < Math.min(bars.length, seen.to + 1); i++) {
      const gap = gapBefore(bars, i, step);
      if (gap < LEAST) continue;
      const x = (timeScale.logicalToCoordinate(i - 1) + timeScale.logicalToCoordinate(i)) / 2;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
      const text = `no candles ${age(gap)}`;
      const { width: wide } = context.measureText(text);
      const left = x + 4 + wide < width ? x + 4 : x - 4 - wide;
      if (left < free) continue;
      context.fillText(text, left, height - 6);
      free = left + wide + 8;
    }
  });
}
