// Shows YAML: the VirtualService with what differs from the team's own marked, and the filter's policy. Lines that
// have just changed light up once; a panel that nobody is reading scrolls to the first of them.

import { diffLines } from "./diff.js";
import { diffRoutes } from "./routes.js";

const SIGNS = { same: " ", added: "+", changed: "~", removed: "−" };
const SPOKEN = { added: "added: ", changed: "changed: ", removed: "removed: " };

const element = (id) => document.getElementById(id);
const shown = { virtualService: null, policy: null };

/** Shows the VirtualService as it is now against the one that the team wrote. */
export function showVirtualService({ now, users: own }) {
  const key = `${own}\u0000${now}`;
  if (shown.virtualService?.key === key) return;
  const marked = diffRoutes(own, now);
  draw(element("virtual-service"), marked, shown.virtualService?.now, now);
  shown.virtualService = { key, now };
  element("vs-sum").textContent = summary(marked);
}

/** Shows the policy; "" when there is none. */
export function showPolicy(policy) {
  if (shown.policy === policy) return;
  const panel = element("policy");
  if (policy.trim() === "") {
    const note = document.createElement("p");
    note.className = "empty";
    note.textContent = "No policy: no header or mirror route is in force, and nobody is sticky. Requests follow the weights of the VirtualService.";
    panel.replaceChildren(note);
  } else {
    draw(panel, diffLines(policy, policy), shown.policy, policy);
  }
  shown.policy = policy;
}

function summary(marked) {
  const count = (mark) => marked.filter((line) => line.mark === mark).length;
  const parts = ["added", "changed", "removed"].map((mark) => [count(mark), mark]).filter(([number]) => number > 0);
  if (parts.length === 0) return "as the team wrote it";
  const [[first]] = parts;
  const words = parts.map(([number, mark], at) => `${number} ${at > 0 ? "" : first === 1 ? "line " : "lines "}${mark}`);
  const onlyAdded = parts.length === 1 && parts[0][1] === "added";
  return `${words.join(", ")} ${onlyAdded ? "to what the team wrote" : "against the team's"}`;
}

function draw(panel, marked, before, now) {
  const fresh = new Set();
  if (before) {
    let index = 0;
    for (const line of diffRoutes(before, now)) {
      if (line.mark === "removed") continue;
      if (line.mark !== "same") fresh.add(index);
      index += 1;
    }
  }
  const top = panel.scrollTop;
  let index = 0;
  let first = null;
  const rows = marked.map((line) => {
    const row = document.createElement("div");
    row.className = `line ${line.mark}`;
    row.append(span("sign", SIGNS[line.mark], true));
    if (SPOKEN[line.mark]) row.append(span("sr-only", SPOKEN[line.mark]));
    row.append(...yamlSpans(line.text));
    if (line.was !== undefined) row.append(span("was", `was ${valueOf(line.was)}`));
    if (line.mark !== "removed") {
      if (fresh.has(index)) row.classList.add("fresh");
      if (fresh.has(index) || (!before && line.mark !== "same")) first ??= row;
      index += 1;
    }
    return row;
  });
  panel.replaceChildren(...rows);
  panel.scrollTop = top;
  if (first && !panel.matches(":hover, :focus")) showRow(panel, first);
}

/** Scrolls inside the panel only, and only if the row isn't to be seen. */
function showRow(panel, row) {
  const offset = row.offsetTop;
  const visible = offset >= panel.scrollTop && offset < panel.scrollTop + panel.clientHeight * 0.6;
  if (!visible) panel.scrollTop = Math.max(0, offset - 40);
}

function valueOf(line) {
  return line.trim().replace(/^(- )?[^:]*:\s*/, "") || line.trim();
}

function yamlSpans(text) {
  const parts = /^(\s*(?:- )*)([^\s:#][^:]*:)(\s.*|)$/.exec(text);
  if (!parts) return [span("value", text)];
  return [document.createTextNode(parts[1]), span("name", parts[2]), span("value", parts[3])];
}

function span(className, text, hidden = false) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  if (hidden) made.ariaHidden = "true";
  return made;
}
