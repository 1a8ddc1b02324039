// Diff of two VirtualServices, route by route: routes are paired by name first, so that a lane route, which repeats most
// lines of the team's own route, shows as one added block. Pure; not a YAML parser: where the list of routes can't be
// told, the whole is compared line by line.

import { diffLines } from "./diff.js";

/** Like `diffLines`, with the entries of `http:` paired by their names. */
export function diffRoutes(before, now) {
  const [a, b] = [split(before), split(now)];
  if (!a || !b) return diffLines(before, now);
  const pairing = diffLines(a.routes.map(keyOf).join("\n"), b.routes.map(keyOf).join("\n"));
  const inOrder = { before: [...a.routes], now: [...b.routes] };
  const out = diffLines(a.head, b.head);
  for (const { mark } of pairing) {
    const old = mark === "added" ? "" : inOrder.before.shift().text;
    const text = mark === "removed" ? "" : inOrder.now.shift().text;
    out.push(...diffLines(old, text));
  }
  return [...out, ...diffLines(a.tail, b.tail)];
}

/** Without a colon, so that no two keys pair as "changed" lines do. */
const keyOf = ({ name, at }) => (name === null ? `unnamed ${at}` : `named ${name.replaceAll(":", ";")}`);

/** The text before the routes, each route, the text after them; null if there is no list under `http:`. */
function split(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  const http = lines.findIndex((line) => /^\s*http:\s*$/.test(line));
  const indent = /^(\s*)- /.exec(lines[http + 1] ?? "")?.[1].length;
  if (http < 0 || indent === undefined) return null;
  const routes = [];
  let at = http + 1;
  for (; at < lines.length; at += 1) {
    const depth = /^\s*/.exec(lines[at])[0].length;
    const opens = depth === indent && lines[at].startsWith("- ", depth);
    if (!opens && depth <= indent) break;
    if (opens) routes.push([]);
    routes.at(-1).push(lines[at]);
  }
  let unnamed = 0;
  return {
    head: lines.slice(0, http + 1).join("\n"),
    routes: routes.map((route) => {
      const name = nameOf(route, indent);
      return { name, at: name === null ? unnamed++ : 0, text: route.join("\n") };
    }),
    tail: lines.slice(at).join("\n"),
  };
}

/** The `name:` of the route itself, not of something in it. */
function nameOf(route, indent) {
  for (const line of route) {
    const found = /^(\s*(?:- )?)name:\s*(.+)$/.exec(line);
    if (found && found[1].length === indent + 2) return found[2];
  }
  return null;
}
