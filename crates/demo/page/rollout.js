// The state of the rollout in words: story, counts, phase, canary weight, steps. Writes text only where it changed, so
// that screen readers and selections are left alone.

import { cssOf } from "./colours.js";

const element = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const percent = (value) => `${number.format(Math.round(value * 10) / 10)} %`;

const REFUSING = "API writes are refused: this step may not have reached the mesh.";
const NONE_FAILED = "None failed.";
let stepsShown = "";
let announced = "";

/** Sets an element's text if it differs. */
export function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

/** Shows everything of a state that is words and numbers. */
export function showRollout(state) {
  showTrouble(state.trouble ?? null);
  showStory(state.story);
  setText("story-hint", state.refusing ? REFUSING : "");
  showCounts(state.counts);
  showPhase(state.rollout);
  showSteps(state.rollout);
  showWeight(state);
}

/** Names the newest failed request under the counts. */
export function showFailure(user, via, why) {
  setText("last-failure", `Last: ${user}, through the ${via}: ${why}`);
}

function showTrouble(trouble) {
  setText("trouble", trouble ?? "");
  element("trouble").hidden = trouble === null;
}

function showStory(story) {
  setText("story-position", `${story.index} of ${story.count}`);
  setText("story-title", story.title);
  setText("story-text", story.text);
  const track = element("story-track");
  while (track.children.length < story.count) track.append(document.createElement("i"));
  while (track.children.length > story.count) track.lastChild.remove();
  [...track.children].forEach((part, index) => {
    part.className = index + 1 < story.index ? "done" : index + 1 === story.index ? "now" : "";
  });
  const spoken = `${story.title}. ${story.text}`;
  if (spoken !== announced) {
    announced = spoken;
    element("announce").textContent = spoken;
  }
}

function showCounts(counts) {
  for (const name of ["failed", "requests", "copies", "flips"]) setText(name, number.format(counts[name]));
  element("failed").classList.toggle("bad", counts.failed > 0);
  const shown = element("last-failure").textContent;
  if (counts.failed === 0) setText("last-failure", NONE_FAILED);
  else if (shown === NONE_FAILED) setText("last-failure", "Failed while this page was closed or hidden.");
}

function showPhase(rollout) {
  setText("phase", rollout.phase);
  element("phase").dataset.phase = rollout.phase;
  setText("phase-message", rollout.message ?? "");
  element("phase-message").title = rollout.message ?? "";
}

function showSteps(rollout) {
  const { steps, step } = rollout;
  const list = element("steps");
  if (stepsShown !== JSON.stringify(steps)) {
    stepsShown = JSON.stringify(steps);
    list.replaceChildren(...steps.map(stepItem));
  }
  const finished = step === null && rollout.phase === "Healthy";
  [...list.children].forEach((item, index) => {
    const current = index === step && !rollout.aborted;
    const done = finished || (step !== null && !rollout.aborted && index < step);
    const state = current ? "now" : done ? "done" : "todo";
    if (item.dataset.state === state) return;
    item.dataset.state = state;
    if (current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  const at = finished ? steps.length : step === null ? 0 : Math.min(step, steps.length);
  setText("step-count", rollout.aborted ? "aborted" : `${at} of ${steps.length} done`);
}

function stepItem(text) {
  const item = document.createElement("li");
  item.dataset.testid = "step";
  const [verb, ...rest] = text.split(" ");
  const name = document.createElement("b");
  name.textContent = verb;
  item.append(name, ` ${rest.join(" ")}`);
  return item;
}

function showWeight({ weight, versions }) {
  setText("weight-wanted", percent(weight.wanted));
  setText("weight-measured", weight.measured === null ? "unknown" : percent(weight.measured));
  const canary = versions.find((version) => version.role === "canary");
  const bar = element("weight-bar");
  bar.style.width = `${clamp(weight.measured ?? 0)}%`;
  bar.style.background = canary ? cssOf(canary.image) : "var(--muted)";
  element("weight-mark").style.left = `${clamp(weight.wanted)}%`;
}

const clamp = (value) => Math.min(100, Math.max(0, value));
