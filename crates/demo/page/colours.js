// Colours of versions: one for each image, kept as long as the page is open, and never shared by two versions that are
// there at the same time. The values are custom properties of style.css, so that light and dark differ; the canvas
// needs them resolved, and `resolve` reads them again when the theme changes.

const NAMES = ["--version-0", "--version-1", "--version-2", "--version-3"];
const PLAIN = ["--ink", "--muted", "--line", "--fail", "--card"];

const indexOfImage = new Map();
let resolved = {};

/** Reads the custom properties. */
function resolve() {
  const style = getComputedStyle(document.documentElement);
  resolved = Object.fromEntries([...NAMES, ...PLAIN].map((name) => [name, style.getPropertyValue(name).trim()]));
}

resolve();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(resolve));

/** Gives every image in `images` (those that exist now) a colour that no other of them has. */
export function assign(images) {
  const taken = new Set();
  for (const image of images) {
    if (!indexOfImage.has(image)) continue;
    if (taken.has(indexOfImage.get(image))) indexOfImage.delete(image);
    else taken.add(indexOfImage.get(image));
  }
  for (const image of images) {
    if (indexOfImage.has(image)) continue;
    const index = freeIndex(image, taken);
    taken.add(index);
    indexOfImage.set(image, index);
  }
}

/**
 * Even ones are bluish, odd ones yellowish, which is what everyone can tell apart whatever their colour vision: beside
 * a version of one kind the other kind is taken, if it is free.
 */
function freeIndex(image, taken) {
  const inOrder = NAMES.map((_, step) => (preferred(image) + step) % NAMES.length);
  const free = inOrder.filter((index) => !taken.has(index));
  const kinds = new Set([...taken].map((index) => index % 2));
  return free.find((index) => !kinds.has(index % 2)) ?? free[0] ?? preferred(image);
}

/** By the tag's number, so that a reload gives the same colours. */
function preferred(image) {
  const number = Number(/(\d+)\D*$/.exec(image)?.[1] ?? 1);
  return (number + NAMES.length - 1) % NAMES.length;
}

function nameOf(image) {
  if (!indexOfImage.has(image)) indexOfImage.set(image, preferred(image));
  return NAMES[indexOfImage.get(image)];
}

/** The colour of an image for CSS. */
export const cssOf = (image) => `var(${nameOf(image)})`;

/** The colour of an image for the canvas. */
export const colourOf = (image) => resolved[nameOf(image)];

/** A colour of the theme for the canvas: "ink", "muted", "line", "fail", "card". */
export const themeColour = (name) => resolved[`--${name}`];
