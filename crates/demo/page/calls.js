// The log of what the plugin was asked (calls of the controller) and what it wrote at the API server: newest first.
// A repeat of the newest row is counted in it; the server counts calls, this counts writes.

const MAX_ROWS = 150;

const list = document.getElementById("calls");
const rowOfCall = new Map();

/** Empties the log: the server replays the recent rows after each connection. */
export function clearCalls() {
  rowOfCall.clear();
  list.replaceChildren(emptyRow());
}

/** Adds a call, or counts it in the row with the same id. */
export function addCall(call) {
  const row = rowOfCall.get(call.id) ?? newRow("call");
  rowOfCall.set(call.id, row);
  row.dataset.call = call.id;
  fill(row, {
    at: call.at,
    what: call.method,
    detail: call.detail,
    end: Number.isFinite(call.ms) ? `${call.ms.toFixed(1)} ms` : "",
    error: call.error,
    count: call.count ?? 1,
  });
}

/** Adds a write, or counts it if the newest row is the same write. */
export function addWrite(write) {
  const key = `${write.verb} ${write.object} ${write.status}`;
  const newest = list.firstElementChild;
  const row = newest?.dataset.write === key ? newest : newRow("write");
  row.dataset.write = key;
  row.dataset.count = String(Number(row.dataset.count ?? 0) + 1);
  fill(row, {
    at: write.at,
    what: write.verb,
    detail: write.object,
    end: String(write.status),
    count: Number(row.dataset.count),
  });
  row.classList.toggle("row-failed", write.status >= 400);
}

function newRow(kind) {
  list.querySelector(".empty")?.remove();
  const row = document.createElement("li");
  row.className = `row row-${kind}`;
  list.prepend(row);
  while (list.children.length > MAX_ROWS) {
    const oldest = list.lastElementChild;
    rowOfCall.delete(Number(oldest.dataset.call));
    oldest.remove();
  }
  return row;
}

function fill(row, { at, what, detail, end, error, count }) {
  row.classList.toggle("row-failed", Boolean(error));
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
