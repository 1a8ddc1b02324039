// The places of the traffic picture: users, proxies, versions. They are ordinary elements, laid out by style.css; this
// fills them and measures where they are, so that dots.js and users.js can draw between and beside them.

import { cssOf } from "./colours.js";

/** The ways to a version, in the order of the rows in its box. */
export const WAYS = ["lane", "weight", "mirror", "copy"];
const LANES = ["canary", "stable"];
const MIN_SLOTS = 2;

const element = (id) => document.getElementById(id);
const stage = element("stage");
const places = new Map();
const lanesInUse = new Map();
let slots = [];
let geometry = null;

addEventListener("resize", () => (geometry = null));
new ResizeObserver(() => (geometry = null)).observe(stage);

/** Gives each user a place. */
export function setUsers(users) {
  places.clear();
  const items = users.map((user) => {
    const item = document.createElement("li");
    item.className = user.you ? "user you" : "user";
    item.append(make("span", "user-name", user.name));
    item.append(make("span", "user-tag", tagOf(user)));
    const strip = make("span", "user-strip", "");
    item.append(strip);
    places.set(user.id, { item, strip });
    return item;
  });
  element("users").replaceChildren(...items);
  geometry = null;
}

/** Shows the versions that exist. Each keeps its place for as long as no more than two exist. */
export function setVersions(versions) {
  const images = new Set(versions.map((version) => version.image));
  slots = slots.map((image) => (images.has(image) ? image : null));
  for (const { image } of versions) {
    if (slots.includes(image)) continue;
    const free = slots.indexOf(null);
    if (free < 0) slots.push(image);
    else slots[free] = image;
  }
  if (slots.length > MIN_SLOTS) slots = slots.filter((image) => image !== null);
  while (slots.length < MIN_SLOTS) slots.push(null);

  const parent = element("versions");
  while (parent.children.length < slots.length) parent.append(versionBox());
  while (parent.children.length > slots.length) parent.lastChild.remove();
  parent.dataset.slots = slots.length;
  const vacancy = versions.some((version) => version.role === "canary") ? "No other version" : "No canary";
  slots.forEach((image, index) => {
    fillBox(parent.children[index], versions.find((version) => version.image === image), vacancy);
  });
  geometry = null;
}

/**
 * Writes the requests per second into the boxes; `rate(image, way)` and `rateOfProxy(via)` give them. Those of one lane
 * are those of the way "lane NAME".
 */
export function showRates(rate, rateOfProxy) {
  slots.forEach((image, index) => {
    if (image === null) return;
    const box = element("versions").children[index];
    const rows = box.querySelectorAll(".way");
    lanesInUse.set(image, LANES.filter((lane) => rate(image, `lane ${lane}`) > 0));
    setText(rows[0].firstChild, laneName({ image, role: box.querySelector(".role").dataset.role }));
    WAYS.forEach((way, at) => {
      const value = rate(image, way);
      rows[at].classList.toggle("idle", value === 0);
      setText(rows[at].lastChild, value === 0 ? "–" : `${rounded(value)}/s`);
    });
  });
  for (const via of [0, 1]) setText(element(`proxy-rate-${via}`), `${rounded(rateOfProxy(via))} req/s`);
}

/**
 * Where everything is, in pixels of the stage: `{width, height, vertical, strips: Map user -> box, starts: Map user ->
 * point, proxies: [{in, out}] by via, ports: Map image -> {way: point}}`. Measured again only after a change.
 */
export function measure() {
  if (geometry) return geometry;
  const origin = stage.getBoundingClientRect();
  const boxOf = (target) => {
    const { left, top, width, height } = target.getBoundingClientRect();
    return { x: left - origin.left, y: top - origin.top, w: width, h: height };
  };
  const vertical = getComputedStyle(stage).getPropertyValue("--vertical").trim() === "1";
  const strips = new Map();
  const starts = new Map();
  for (const [id, place] of places) {
    const strip = boxOf(place.strip);
    strips.set(id, strip);
    starts.set(id, vertical ? { x: strip.x + strip.w / 2, y: strip.y + strip.h + 3 } : { x: strip.x + strip.w + 5, y: strip.y + strip.h / 2 });
  }
  const proxies = [0, 1].map((via) => {
    const box = boxOf(element(`proxy-${via}`));
    return vertical
      ? { in: { x: box.x + box.w / 2, y: box.y }, out: { x: box.x + box.w / 2, y: box.y + box.h }, spread: box.w * 0.3 }
      : { in: { x: box.x, y: box.y + box.h / 2 }, out: { x: box.x + box.w, y: box.y + box.h / 2 }, spread: box.h * 0.3 };
  });
  const ports = new Map();
  slots.forEach((image, index) => {
    if (image === null) return;
    const box = element("versions").children[index];
    ports.set(image, portsOf(boxOf(box), [...box.querySelectorAll(".way")].map(boxOf), vertical));
  });
  geometry = { width: origin.width, height: origin.height, vertical, strips, starts, proxies, ports };
  return geometry;
}

function tagOf({ name, you, beta }) {
  if (you) return name.toLowerCase() === "you" ? "" : "you";
  return beta ? "beta" : "";
}

function portsOf(box, rows, vertical) {
  return Object.fromEntries(
    WAYS.map((way, at) => [
      way,
      vertical
        ? { x: box.x + (box.w * (at + 0.5)) / WAYS.length, y: box.y }
        : { x: box.x, y: rows[at].y + rows[at].h / 2 },
    ]),
  );
}

function versionBox() {
  const box = make("article", "version", "");
  const head = make("h3", "version-head", "");
  head.append(make("span", "swatch", ""), make("span", "version-image", ""), make("span", "role", ""));
  const ways = make("ul", "ways", "");
  for (const way of WAYS) {
    const row = make("li", `way way-${way} idle`, "");
    row.append(make("span", "way-name", ""), make("span", "way-rate", "–"));
    ways.append(row);
  }
  box.append(head, make("p", "version-pods", ""), ways);
  return box;
}

function fillBox(box, version, vacancy) {
  box.classList.toggle("vacant", !version);
  box.ariaHidden = version ? null : "true";
  const [image, role] = [box.querySelector(".version-image"), box.querySelector(".role")];
  setText(image, version?.image ?? vacancy);
  setText(role, version?.role ?? "");
  role.dataset.role = version?.role ?? "";
  box.style.setProperty("--colour", version ? cssOf(version.image) : "var(--line)");
  setText(box.querySelector(".version-pods"), version ? `Pods ${version.ready}/${version.pods} · ${version.hash}` : "");
  const names = { lane: laneName(version), weight: "by weight", mirror: "mirror lane", copy: "copies" };
  WAYS.forEach((way, at) => setText(box.querySelectorAll(".way-name")[at], names[way]));
}

/** The lane that requests came by; where none did, the one that the version would have. */
function laneName(version) {
  const lanes = lanesInUse.get(version?.image) ?? [];
  if (lanes.length > 1) return "both lanes";
  return `${lanes[0] ?? (version?.role === "canary" ? "canary" : "stable")} lane`;
}

function rounded(value) {
  return value < 10 && value > 0 ? value.toFixed(1) : String(Math.round(value));
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
