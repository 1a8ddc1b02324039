// What each user saw last: a strip of small squares beside the name, one for each of the last requests, in the colour
// of the version that answered. The newest overwrites the oldest in place, so a strip only moves where something
// changed. A square answered by another version than the one before has a notch: that user flipped.

import { colourOf, themeColour } from "./colours.js";

const CELLS = 12;
const GAP = 1.5;

const memory = new Map();

/** Forgets everything: the users may be others after a new connection. */
export function forgetUsers() {
  memory.clear();
}

/** Remembers that `image` answered a request of `user`. */
export function remember(user, image) {
  const { cells, last, next } = recall(user);
  cells[next] = { image, flip: last !== null && last !== image };
  memory.set(user, { cells, last: image, next: (next + 1) % CELLS });
}

/** Remembers a failed request; it says nothing about versions. */
export function rememberFailure(user) {
  const { cells, last, next } = recall(user);
  cells[next] = { image: null, flip: false };
  memory.set(user, { cells, last, next: (next + 1) % CELLS });
}

function recall(user) {
  return memory.get(user) ?? { cells: Array(CELLS).fill(null), last: null, next: 0 };
}

/** Draws all strips at the boxes of `strips` (user -> {x, y, w, h}). */
export function drawStrips(context, strips) {
  for (const [user, box] of strips) drawStrip(context, recall(user).cells, box);
}

function drawStrip(context, cells, box) {
  const step = (box.w + GAP) / CELLS;
  const size = Math.min(step - GAP, box.h - 5);
  const top = box.y + (box.h - size) / 2;
  cells.forEach((cell, at) => {
    const x = box.x + at * step;
    if (cell === null) {
      context.fillStyle = themeColour("line");
      context.fillRect(x, top, step - GAP, size);
    } else if (cell.image === null) {
      drawCross(context, x + (step - GAP) / 2, top + size / 2, size / 2);
    } else {
      context.fillStyle = colourOf(cell.image);
      context.fillRect(x, top, step - GAP, size);
      if (cell.flip) {
        context.fillStyle = themeColour("ink");
        context.fillRect(x, top - 2.5, step - GAP, 1.5);
      }
    }
  });
}

/** A failed request, wherever it is drawn: a cross with a rim, so that it stands out from dots of any colour. */
export function drawCross(context, x, y, radius) {
  const width = Math.max(1.5, radius / 2.2);
  context.beginPath();
  context.moveTo(x - radius, y - radius);
  context.lineTo(x + radius, y + radius);
  context.moveTo(x + radius, y - radius);
  context.lineTo(x - radius, y + radius);
  for (const [colour, lineWidth] of [["card", width + 2.5], ["fail", width]]) {
    context.strokeStyle = themeColour(colour);
    context.lineWidth = lineWidth;
    context.stroke();
  }
}
