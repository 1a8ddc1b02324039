// The moving dots: from a user through a proxy to a version. Decides which are drawn (all, or an even part of them when
// there are too many), and where each is at a moment. Who prefers reduced motion gets standing dots.

import { colourOf, themeColour } from "./colours.js";
import { Rates } from "./rates.js";
import { drawCross, remember, rememberFailure } from "./users.js";

const TO_PROXY_MS = 800;
const IN_PROXY_MS = 160;
const TO_VERSION_MS = 1000;
const TRAVEL_MS = TO_PROXY_MS + IN_PROXY_MS + TO_VERSION_MS;
const CROSS_MS = 12_000;
/** The server sends what happened in this time as one event; the dots start spread over it. */
const BATCH_MS = 100;
/** More than this many at once say no more than fewer, and cost frames. */
const MAX_DOTS = 800;
const MAX_CROSSES_PER_SECOND = 40;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
/** By `image way`, and by `via`: what was asked for, not what is drawn. */
export const rates = new Rates();
const tracks = new Rates();
const drawn = new Rates();
const shares = new Map();
const viaOfUser = new Map();
const lastPorts = new Map();
/** Half the width of each track's band, of this frame. */
const bands = new Map();
let pending = [];
let dots = [];
let crosses = [];

const wayOf = (lane) => (lane === "" ? "weight" : lane.endsWith("mirror") ? "mirror" : "lane");

/** Takes one `requests` event. */
export function addRequests({ list, copies, failed }, now) {
  const born = (index, length) => now + (BATCH_MS * index) / length;
  list.forEach(([user, via, image, lane], index) => {
    viaOfUser.set(user, via);
    const way = wayOf(lane);
    if (way === "lane") rates.count(`${image} lane ${lane}`, now);
    addDot({ user, via, image, way, born: born(index, list.length), copy: false });
  });
  copies.forEach(([user, image], index) => {
    const via = viaOfUser.get(user) ?? 0;
    addDot({ user, via, image, way: "copy", born: born(index, copies.length), copy: true });
  });
  failed.forEach(([user, via], index) => {
    rates.count(`via ${via}`, now);
    rates.count("failed", now);
    const picked = pick("failed", MAX_CROSSES_PER_SECOND / rates.perSecond("failed", now));
    pending.push({ user, via, failed: true, picked, born: born(index, failed.length), side: Math.random(), far: Math.random() });
  });
}

/** Forgets what is under way: the connection was lost. */
export function clearDots() {
  [pending, dots] = [[], []];
}

/** Dots drawn in the last two seconds, by image. */
export function dotsByVersion(now) {
  return Object.fromEntries(drawn.keys().map((image) => [image, drawn.recent(image, now)]).filter(([, number]) => number > 0));
}

function addDot(dot) {
  rates.count(`${dot.image} ${dot.way}`, dot.born);
  rates.count("all", dot.born);
  if (!dot.copy) rates.count(`via ${dot.via}`, dot.born);
  tracks.count(trackOf(dot), dot.born);
  pending.push({ ...dot, side: Math.random() * 2 - 1, picked: pick(trackOf(dot), shareOf(dot)) });
}

const trackOf = ({ via, image, way }) => `${via} ${way} ${image}`;

/** The share of dots that are drawn. */
function shareOf(dot) {
  return MAX_DOTS / ((rates.perSecond("all", dot.born) * TRAVEL_MS) / 1000 || 1);
}

/** Whether this one is drawn, of an even share of those with this key; the first always is. */
function pick(key, share) {
  const sum = (shares.get(key) ?? 1) + Math.min(1, share);
  shares.set(key, sum >= 1 ? sum - 1 : sum);
  return sum >= 1;
}

/** Starts what is due. */
function take(now) {
  const due = pending.filter((dot) => dot.born <= now);
  if (due.length === 0) return;
  pending = pending.filter((dot) => dot.born > now);
  for (const dot of due) {
    if (dot.failed) {
      rememberFailure(dot.user);
      if (dot.picked) crosses.push(dot);
      continue;
    }
    if (!dot.copy) remember(dot.user, dot.image);
    if (!dot.picked) continue;
    drawn.count(dot.image, now);
    if (!stillness.matches) dots.push(dot);
  }
}

/** Draws tracks, dots and crosses at the moment `now`. */
export function drawDots(context, geometry, now) {
  take(now);
  for (const [image, ports] of geometry.ports) lastPorts.set(image, ports);
  dots = dots.filter((dot) => now - dot.born < TRAVEL_MS);
  crosses = crosses.filter((cross) => now - cross.born < CROSS_MS);
  drawTracks(context, geometry, now);
  for (const [style, group] of grouped(geometry, now)) drawGroup(context, style, group, geometry);
  context.globalAlpha = 1;
  drawCrosses(context, geometry, now);
}

/** The ways that are in use, as soft bands as wide as their traffic; with dots on them where nothing may move. */
function drawTracks(context, geometry, now) {
  context.lineCap = "butt";
  for (const key of tracks.keys()) {
    const perSecond = tracks.perSecond(key, now);
    bands.set(key, bandOf(perSecond));
    const [via, way, image] = key.split(" ");
    const port = lastPorts.get(image)?.[way];
    if (perSecond === 0 || !port) continue;
    const curve = curveOf(geometry.proxies[via].out, port, geometry.vertical);
    context.strokeStyle = colourOf(image);
    context.globalAlpha = 0.16;
    context.lineWidth = 2 * bands.get(key) + 6;
    context.beginPath();
    context.moveTo(curve[0].x, curve[0].y);
    context.bezierCurveTo(curve[1].x, curve[1].y, curve[2].x, curve[2].y, curve[3].x, curve[3].y);
    context.stroke();
    if (stillness.matches) drawBeads(context, curve, image, way === "copy", perSecond);
  }
  context.globalAlpha = 1;
}

function drawBeads(context, curve, image, hollow, perSecond) {
  const number = Math.min(24, Math.max(2, Math.round(perSecond / 4)));
  const points = Array.from({ length: number }, (_, index) => pointOn(curve, (index + 0.5) / number));
  context.globalAlpha = 1;
  drawCircles(context, points, colourOf(image), hollow, 3);
}

const bandOf = (perSecond) => Math.min(11, 1.5 + Math.sqrt(perSecond) * 0.75);

/** Dots that look alike, with their points. */
function grouped(geometry, now) {
  const groups = new Map();
  for (const dot of dots) {
    const place = placeOf(dot, geometry, now);
    if (!place) continue;
    const style = `${dot.copy ? 1 : 0} ${place.early ? 1 : 0} ${dot.image}`;
    if (!groups.has(style)) groups.set(style, []);
    groups.get(style).push(place);
  }
  return groups;
}

function drawGroup(context, style, points, geometry) {
  const [copy, early, image] = style.split(" ");
  context.globalAlpha = early === "1" ? 0.65 : 1;
  const radius = (geometry.vertical ? 2.6 : 3.2) - (early === "1" ? 0.6 : 0);
  drawCircles(context, points, colourOf(image), copy === "1", radius);
}

function drawCircles(context, points, colour, hollow, radius) {
  context.beginPath();
  for (const { x, y } of points) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 7);
  }
  if (hollow) {
    context.strokeStyle = colour;
    context.lineWidth = 1.3;
    context.stroke();
  } else {
    context.fillStyle = colour;
    context.fill();
  }
}

/** Where a dot is, or null where it isn't to be seen. `early`: before the proxy. */
function placeOf(dot, geometry, now) {
  const age = now - dot.born;
  const proxy = geometry.proxies[dot.via];
  if (age < TO_PROXY_MS) {
    const start = geometry.starts.get(dot.user);
    if (!start || dot.copy) return null;
    const t = age / TO_PROXY_MS;
    const aside = dot.side * proxy.spread * 0.5;
    const end = geometry.vertical ? { x: proxy.in.x + aside, y: proxy.in.y } : { x: proxy.in.x, y: proxy.in.y + aside };
    return { ...pointOn(curveOf(start, end, geometry.vertical), t), early: true };
  }
  const port = lastPorts.get(dot.image)?.[dot.way];
  const t = (age - TO_PROXY_MS - IN_PROXY_MS) / TO_VERSION_MS;
  if (t < 0 || !port) return null;
  const band = bands.get(trackOf(dot)) * (1 - 0.3 * t);
  return beside(curveOf(proxy.out, port, geometry.vertical), t, dot.side * band);
}

function drawCrosses(context, geometry, now) {
  for (const cross of crosses) {
    const age = now - cross.born;
    const proxy = geometry.proxies[cross.via];
    const across = (cross.side * 2 - 1) * proxy.spread * 1.6;
    const along = 12 + cross.far * (geometry.vertical ? 34 : 70);
    const end = geometry.vertical ? { x: proxy.out.x + across, y: proxy.out.y + along } : { x: proxy.out.x + along, y: proxy.out.y + across };
    const start = geometry.starts.get(cross.user);
    if (age < TO_PROXY_MS && start && !stillness.matches) {
      const point = pointOn(curveOf(start, proxy.in, geometry.vertical), age / TO_PROXY_MS);
      drawCross(context, point.x, point.y, 3.5);
      continue;
    }
    context.globalAlpha = Math.min(1, (CROSS_MS - age) / 3000);
    context.lineCap = "round";
    drawCross(context, end.x, end.y, 4.5);
    context.globalAlpha = 1;
  }
}

/** A curve that leaves and arrives along the main axis. */
function curveOf(from, to, vertical) {
  if (vertical) {
    const bend = (to.y - from.y) * 0.5;
    return [from, { x: from.x, y: from.y + bend }, { x: to.x, y: to.y - bend }, to];
  }
  const bend = (to.x - from.x) * 0.5;
  return [from, { x: from.x + bend, y: from.y }, { x: to.x - bend, y: to.y }, to];
}

function pointOn([a, b, c, d], t) {
  const s = 1 - t;
  const [wa, wb, wc, wd] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return { x: wa * a.x + wb * b.x + wc * c.x + wd * d.x, y: wa * a.y + wb * b.y + wc * c.y + wd * d.y };
}

/** A point that lies `by` pixels to the side of the curve. */
function beside(curve, t, by) {
  const point = pointOn(curve, t);
  const ahead = pointOn(curve, t + 0.01);
  const [dx, dy] = [ahead.x - point.x, ahead.y - point.y];
  const length = Math.hypot(dx, dy) || 1;
  return { x: point.x - (dy / length) * by, y: point.y + (dx / length) * by };
}
