// The connection to the demo: an EventSource that comes back by itself. The browser retries after a broken
// connection; after an answer that isn't a stream it gives up, and then this opens a new one.

const RETRY_MS = 1000;

/**
 * Listens to /events. `handlers` has a function for each event by its name; `onLink` is told true when the stream is
 * open and false when it is lost.
 */
export function listen(handlers, onLink) {
  const source = new EventSource("/events");
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  source.onopen = () => onLink(true);
  source.onerror = () => {
    onLink(false);
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => listen(handlers, onLink), RETRY_MS);
    }
  };
}

/** Sends an action. Returns null when it is done, else a sentence that says why not. */
export async function send(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.ok) return null;
    const told = await answer.json().catch(() => ({}));
    return told.error ?? `The demo answered with status ${answer.status}.`;
  } catch {
    return "The demo can't be reached.";
  }
}
