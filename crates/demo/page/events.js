// The connection to the demo: an EventSource that comes back by itself. The browser retries after a broken
// connection; after an answer that isn't a stream it gives up, and then this opens a new one. A hidden page gives its
// stream back: a browser has six HTTP/1.1 connections to a host, for the streams of all pages and their actions.

const RETRY_MS = 1000;
const ANSWER_MS = 5000;

/**
 * Listens to /events while the page is visible. `handlers` has a function for each event by its name; `onLink` is told
 * "open" when the stream is open, "lost" when it is lost, and "closed" when it was closed because the page is hidden.
 */
export function listen(handlers, onLink) {
  let source = null;
  let retry = null;

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open() {
    close();
    if (document.hidden) return;
    source = new EventSource("/events");
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
    source.onopen = () => onLink("open");
    source.onerror = () => {
      onLink("lost");
      if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    };
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return open();
    close();
    onLink("closed");
  });
  open();
}

/** Sends an action. Returns null when it is done, else a sentence that says why not. */
export async function send(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (answer.ok) return null;
    const told = await answer.json().catch(() => ({}));
    return told.error ?? `The demo answered with status ${answer.status}.`;
  } catch (error) {
    if (error.name === "TimeoutError") {
      return `The demo hasn't answered within ${ANSWER_MS / 1000} seconds. If its page is open in several windows, close some and try again.`;
    }
    return "The demo can't be reached.";
  }
}
