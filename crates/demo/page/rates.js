// Requests per second over the last two seconds, by any key. No drawing, no page.

const WINDOW_MS = 2000;
const BUCKET_MS = 100;

/** Counts events by key and tells their rate. */
export class Rates {
  #buckets = new Map();

  /** Counts one event of `key` at `now` (ms). */
  count(key, now) {
    const bucket = Math.floor(now / BUCKET_MS);
    let counts = this.#buckets.get(key);
    if (!counts) this.#buckets.set(key, (counts = []));
    const last = counts.at(-1);
    if (last?.bucket === bucket) last.number += 1;
    else counts.push({ bucket, number: 1 });
  }

  /** Events of `key` in the window that ends at `now`. */
  recent(key, now) {
    const counts = this.#buckets.get(key);
    if (!counts) return 0;
    const oldest = Math.floor((now - WINDOW_MS) / BUCKET_MS);
    while (counts.length > 0 && counts[0].bucket <= oldest) counts.shift();
    if (counts.length === 0) this.#buckets.delete(key);
    return counts.reduce((sum, { number }) => sum + number, 0);
  }

  /** Events of `key` per second. */
  perSecond(key, now) {
    return (this.recent(key, now) * 1000) / WINDOW_MS;
  }

  /** All keys that have been counted lately. */
  keys() {
    return [...this.#buckets.keys()];
  }
}
