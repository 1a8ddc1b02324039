// The page's entry: hands each event of the stream to the modules that show it, and draws the canvas frame by frame.

import { addCall, addWrite, clearCalls } from "./calls.js";
import { assign } from "./colours.js";
import { setConnected, setHeaders, showControls, startControls } from "./controls.js";
import { addRequests, clearDots, dotsByVersion, drawDots, rates } from "./dots.js";
import { listen } from "./events.js";
import { setText, showFailure, showRollout } from "./rollout.js";
import { measure, setUsers, setVersions, showRates } from "./stage.js";
import { drawStrips, forgetUsers } from "./users.js";
import { showPolicy, showVirtualService } from "./yaml.js";

const RATES_MS = 500;
const STILL_FRAME_MS = 1000;
const PROXIES = ["sidecar", "gateway"];
const LINK_WORDS = { open: "live", lost: "not connected", closed: "connecting" };

const canvas = document.getElementById("canvas");
const context = canvas.getContext("2d");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const names = new Map();

/** For tests: what the page has drawn, and whether the stream is open. */
window.serinDemo = { dotsByVersion: () => dotsByVersion(performance.now()), connected: false };

const handlers = {
  hello({ title, users, rollout, headers }) {
    setText("title", title);
    document.title = title;
    setText("rollout-name", rollout);
    for (const user of users) names.set(user.id, user.name);
    forgetUsers();
    clearCalls();
    setUsers(users);
    setHeaders(headers);
  },
  requests(batch) {
    addRequests(batch, performance.now());
    const last = batch.failed.at(-1);
    if (last) showFailure(names.get(last[0]) ?? "a user", PROXIES[last[1]], last[2]);
  },
  state(state) {
    assign(state.versions.map((version) => version.image));
    setVersions(state.versions);
    showRollout(state);
    showVirtualService(state.virtualService);
    showPolicy(state.policy);
    showControls(state);
  },
  call: addCall,
  write: addWrite,
};

function onLink(link) {
  const connected = link === "open";
  window.serinDemo.connected = connected;
  if (!connected) clearDots();
  document.getElementById("link").dataset.state = connected ? "on" : "off";
  setText("link-text", LINK_WORDS[link]);
  // Nobody sees a hidden page, and it is connected again before there is anything to say.
  if (link === "closed") return;
  document.getElementById("banner").hidden = connected;
  setText("banner", connected ? "" : "No connection to the demo. What you see is old. Trying again …");
  document.body.classList.toggle("stale", !connected);
  setConnected(connected);
}

let ratesShown = 0;
let frameDrawn = 0;

function frame(now) {
  requestAnimationFrame(frame);
  if (now - ratesShown >= RATES_MS) {
    ratesShown = now;
    showRates((image, way) => rates.perSecond(`${image} ${way}`, now), (via) => rates.perSecond(`via ${via}`, now));
  }
  if (stillness.matches && now - frameDrawn < STILL_FRAME_MS) return;
  frameDrawn = now;
  const geometry = measure();
  const scale = Math.min(2, devicePixelRatio || 1);
  const [width, height] = [Math.round(geometry.width * scale), Math.round(geometry.height * scale)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, geometry.width, geometry.height);
  drawStrips(context, geometry.strips);
  drawDots(context, geometry, now);
}

startControls();
listen(handlers, onLink);
requestAnimationFrame(frame);
