// Line diff. Pure: strings in, marked lines out; knows nothing of the page.

/** Above this many cells (lines of one side times lines of the other) lines aren't aligned: too much to do five times a second. */
const MAX_CELLS = 4_000_000;

/**
 * The lines of `now`, each marked against `before`:
 * `{text, mark: "same" | "added" | "changed" | "removed", was}`. A line that stands for one other line of `before` with
 * the same key is "changed" and `was` holds the old text. Lines of `before` that are gone are listed where they were.
 */
export function diffLines(before, now) {
  const a = lines(before);
  const b = lines(now);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const same = (text) => ({ text, mark: "same" });
  return [
    ...b.slice(0, start).map(same),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...b.slice(b.length - end).map(same),
  ];
}

function lines(text) {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

function middle(a, b) {
  if (a.length * b.length > MAX_CELLS) return hunk(a, b);
  const common = commonLengths(a, b);
  const out = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [gone, come] = [[], []];
    while ((i < a.length || j < b.length) && !(i < a.length && j < b.length && a[i] === b[j])) {
      if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) gone.push(a[i++]);
      else come.push(b[j++]);
    }
    out.push(...hunk(gone, come));
    while (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ text: b[j], mark: "same" });
      i += 1;
      j += 1;
    }
  }
  return out;
}

/** `common[i][j]`: how many lines `a` from i on and `b` from j on have in common, in order. */
function commonLengths(a, b) {
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  return common;
}

/** Pairs lines that went with lines that came where they have the same key (`weight: 100` and `weight: 90`). */
function hunk(gone, come) {
  const left = [...gone];
  const marked = come.map((text) => {
    const at = left.findIndex((old) => keyOf(old) === keyOf(text));
    if (at < 0) return { text, mark: "added" };
    return { text, mark: "changed", was: left.splice(at, 1)[0] };
  });
  return [...left.map((text) => ({ text, mark: "removed" })), ...marked];
}

/** Indentation and name; a line without a name is its own key. */
function keyOf(line) {
  return /^\s*(?:- )?[^:]*:?/.exec(line)[0];
}
