// The log of what the plugin was asked (calls of the controller), what it wrote at the API server, and when it was
// started: newest first. The server counts repeats: the same row comes again with the same id and a higher count.

const MAX_ROWS = 150;
const STARTED = "plugin started";

const list = document.getElementById("calls");
const rowOfId = new Map();

/** Empties the log: the server replays the recent rows after each connection. */
export function clearCalls() {
  rowOfId.clear();
  list.replaceChildren(emptyRow());
}

/** Takes a `call` event: a call of the plugin, or its start. */
export function addCall(call) {
  if (call.method === STARTED) {
    show("start", call, { what: STARTED, detail: timesWords(call.detail), end: "" });
    return;
  }
  const end = Number.isFinite(call.ms) ? `${call.ms.toFixed(1)} ms` : "";
  show("call", call, { what: call.method, detail: call.detail, end, failed: Boolean(call.error) });
}

/** Takes a `write` event. */
export function addWrite(write) {
  show("write", write, { what: write.verb, detail: write.object, end: String(write.status), failed: write.status >= 400 });
}

/** Shows an event in the row with its id, or in a new one. */
function show(kind, { id, count = 1, at, error }, { what, detail, end, failed = false }) {
  const row = rowOfId.get(id) ?? newRow(kind, id);
  row.classList.toggle("row-failed", failed);
  const body = cell("row-body", "");
  body.append(cell("row-what", what), " ", cell("row-detail", detail ?? ""));
  const cells = [
    cell("row-at", `${at.toFixed(1)} s`),
    body,
    cell("row-count", count > 1 ? `× ${count}` : ""),
    cell("row-end", end),
  ];
  if (error) cells.push(cell("row-error", error));
  row.replaceChildren(...cells);
}

/** How often the plugin has been started, which comes as a number. */
function timesWords(times) {
  if (String(times) === "1") return "for the first time";
  return /^\d+$/.test(times) ? `${times} times so far` : times;
}

function newRow(kind, id) {
  list.querySelector(".empty")?.remove();
  const row = document.createElement("li");
  row.className = `row row-${kind}`;
  row.dataset.id = id;
  rowOfId.set(id, row);
  list.prepend(row);
  while (list.children.length > MAX_ROWS) {
    const oldest = list.lastElementChild;
    rowOfId.delete(Number(oldest.dataset.id));
    oldest.remove();
  }
  return row;
}

function emptyRow() {
  const row = document.createElement("li");
  row.className = "empty";
  row.textContent = "No call yet. The controller calls the plugin when a release begins.";
  return row;
}

function cell(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}
