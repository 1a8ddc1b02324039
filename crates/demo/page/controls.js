// The buttons and the form "Your requests": sends actions, says why one failed, and disables what makes no sense now.

import { send } from "./events.js";
import { setText } from "./rollout.js";

const element = (id) => document.getElementById(id);
const buttons = Object.fromEntries(
  [...document.querySelectorAll("[data-do]")].map((button) => [button.dataset.do, button]),
);
const QUICK = ["x-beta", "1"];

let connected = false;
let state = null;
let headers = [];
let edited = false;

/** Makes buttons and form work. */
export function startControls() {
  for (const button of Object.values(buttons)) {
    button.addEventListener("click", () => act(button, "POST", `/do/${actionOf(button)}`));
  }
  element("you-quick").addEventListener("click", () => {
    const without = headers.filter((header) => !isQuick(header));
    putHeaders(without.length < headers.length ? without : [...headers, QUICK]);
  });
  element("you-add").addEventListener("click", () => {
    addRow("", "").querySelector("input").focus();
    markEdited();
  });
  element("you-rows").addEventListener("input", markEdited);
  element("you").addEventListener("submit", (event) => {
    event.preventDefault();
    putHeaders(formHeaders());
  });
  update();
}

/** Told when the stream opens and when it is lost. */
export function setConnected(now) {
  connected = now;
  update();
}

/** Takes the newest state. */
export function showControls(now) {
  state = now;
  setHeaders(now.you.headers);
  update();
}

/** Shows the headers in force, unless the user is editing others. */
export function setHeaders(now) {
  if (JSON.stringify(now) !== JSON.stringify(headers)) {
    headers = now;
    if (!edited) fillRows();
  }
  setText("you-now", headers.length === 0 ? "sent without extra headers" : `sent with ${headers.map((header) => header.join(": ")).join(", ")}`);
  element("you-quick").ariaPressed = String(headers.some(isQuick));
}

function actionOf(button) {
  const name = button.dataset.do;
  if (name === "pause" && state?.rollout.paused) return "resume";
  if (name === "refuse-writes" && state?.refusing) return "accept-writes";
  return name;
}

function update() {
  const rollout = state?.rollout;
  const known = connected && rollout !== undefined;
  const moving = known && rollout.step !== null && !rollout.aborted && rollout.phase !== "Healthy";
  enable("promote", moving);
  enable("abort", moving);
  enable("pause", moving || (known && rollout.paused));
  enable("release", known);
  enable("kill-plugin", known && state.plugin.running);
  enable("refuse-writes", known);
  setButtonText("pause", rollout?.paused ? "Resume" : "Pause");
  buttons["refuse-writes"].ariaPressed = String(Boolean(state?.refusing));
  for (const id of ["you-quick", "you-add"]) element(id).disabled = !connected;
  element("you-apply").disabled = !connected || !edited;
  if (state) {
    setText("plugin-state", pluginWords(state.plugin));
    element("plugin-state").classList.toggle("bad", !state.plugin.running);
  }
}

function pluginWords({ running, starts }) {
  if (!running) return "plugin is gone: the controller starts it again at its next call";
  return starts > 1 ? `plugin runs, started ${starts} times` : "plugin runs";
}

/** A button that loses its sense while it has the focus keeps the focus: it is marked, not taken away. */
function enable(name, on) {
  const button = buttons[name];
  const focused = document.activeElement === button;
  button.disabled = !on && !focused;
  button.ariaDisabled = on ? null : "true";
}

function setButtonText(name, text) {
  if (buttons[name].textContent !== text) buttons[name].textContent = text;
}

async function act(button, method, path, body) {
  if (button?.ariaDisabled === "true") return false;
  const error = await send(method, path, body);
  setText("action-error", error ?? "");
  return error === null;
}

async function putHeaders(wanted) {
  if (await act(null, "PUT", "/do/headers", wanted)) {
    edited = false;
    setHeaders(wanted);
    fillRows();
    update();
  }
}

function formHeaders() {
  return [...element("you-rows").children]
    .map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()))
    .filter(([name]) => name !== "");
}

function fillRows() {
  element("you-rows").replaceChildren();
  for (const [name, value] of headers) addRow(name, value);
}

function markEdited() {
  edited = JSON.stringify(formHeaders()) !== JSON.stringify(headers);
  update();
}

function addRow(name, value) {
  const row = document.createElement("li");
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.ariaLabel = "Remove this header";
  remove.addEventListener("click", () => {
    row.remove();
    element("you-add").focus();
    markEdited();
  });
  row.append(field("Header name", "name", name), field("Header value", "value", value), remove);
  element("you-rows").append(row);
  return row;
}

function field(label, placeholder, value) {
  const input = document.createElement("input");
  Object.assign(input, { type: "text", value, placeholder, autocomplete: "off", spellcheck: false });
  input.autocapitalize = "off";
  input.ariaLabel = label;
  return input;
}

const isQuick = ([name, value]) => name.toLowerCase() === QUICK[0] && value === QUICK[1];
