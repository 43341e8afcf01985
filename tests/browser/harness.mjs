// What every part of the suite stands on: servers on empty directories, people in browsers, the counting of checks.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const { BROWSER_DIR, CHROMIUM, OMNISTACK_BIN } = process.env;
const packages = createRequire(join(BROWSER_DIR, "any.js"));
const { chromium } = packages("playwright-core");
export const axe = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");
export const screenshots = join(BROWSER_DIR, "screenshots");

export const ROOT = { email: "ada.lovelace@example.com", full_name: "Ada Lovelace", password: "nine brass wheels turning" };
const PATIENCE = 15_000;

// --- Checks.

const counted = { passed: 0, failed: 0 };
export const counts = () => `${counted.passed} passed, ${counted.failed} failed`;

// What `run` answers is told beside the title.
export async function check(title, run) {
  try {
    const note = await run();
    counted.passed++;
    console.log(`ok      ${title}${note ? `: ${note}` : ""}`);
    return true;
  } catch (error) {
    counted.failed++;
    console.log(`FAILED  ${title}: ${process.env.DEBUG ? error.stack : error.message}`);
    return false;
  }
}

class Stop extends Error {}

// Steps that build on one another: the first that fails ends the walk.
export async function walk(title, run) {
  const step = async (what, act) => {
    if (!(await check(`${title}: ${what}`, act))) throw new Stop();
  };
  try {
    await run(step);
  } catch (error) {
    if (!(error instanceof Stop)) await check(title, () => Promise.reject(error));
  }
}

export function same(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

export function none(faults) {
  if (faults.length) throw new Error(`${faults.length} faults\n          ${faults.join("\n          ")}`);
}

// Asks until the answer is true. A page that is being replaced cannot answer, and is asked again.
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    let last;
    try {
      if (await ask()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE / 1000} s: ${what}${last ? ` (${last.message})` : ""}`);
    await pause(15);
  }
}

// --- Servers.

const work = mkdtempSync(join(tmpdir(), "omnistack-browser-"));
const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

// A server on an empty directory: its address, its setup link, and a client of its API.
export async function serve(name) {
  const child = spawn(OMNISTACK_BIN, ["--data-dir", join(work, name), "serve", "--listen", "127.0.0.1:0"], {
    cwd: work,
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "pipe", "ignore"],
  });
  children.add(child);
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  await until(`the start of ${OMNISTACK_BIN}`, () => said.includes("setup") && said.endsWith("\n"));
  const console = said.match(/^ +console +(\S+)$/m)[1];
  const server = { child, origin: new URL(console).origin, setup: said.match(/^ +setup +(\S+)$/m)[1] };
  server.api = async (method, path, body, token) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const response = await fetch(server.origin + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  };
  server.login = ({ email, password }) => server.api("POST", "/api/v1/public/auth/login", { email, password });
  return server;
}

const PIONEERS = `Grace Hopper, Alan Turing, Katherine Johnson, Edsger Dijkstra, Barbara Liskov, Donald Knuth, Margaret Hamilton,
  John Backus, Radia Perlman, Dennis Ritchie, Frances Allen, Ken Thompson, Beatrice Worsley, Tony Hoare, Adele Goldberg, Niklaus Wirth,
  Shafi Goldwasser, Edgar Codd, Anita Borg, Claude Shannon, Mary Jackson, John McCarthy, Hedy Lamarr, Vint Cerf, Jean Bartik,
  Robin Milner, Lynn Conway, Alan Kay, Kathleen Booth, Jim Gray, Dorothy Vaughan, Leslie Lamport, Betty Holberton, Ole Dahl,
  Sophie Wilson, Kristen Nygaard, Evelyn Berezin, Maurice Wilkes, Mary Keller, Peter Naur, Ida Rhodes, Konrad Zuse,
  Stephanie Shirley, Gerald Sussman, Ruzena Bajcsy`.split(/,\s+/);

// Accounts enough for three pages of the list, some with a role, some inactive, some signed in. Answers the root's token.
export async function people(server) {
  const address = (name) => `${name.toLowerCase().replace(" ", ".")}@example.com`;
  const password = "a loom that weaves algebra";
  const waiting = [...PIONEERS].reverse();
  const register = async () => {
    for (let name; (name = waiting.pop()); ) {
      await server.api("POST", "/api/v1/public/auth/register", { email: address(name), full_name: name, password });
    }
  };
  await Promise.all(Array.from({ length: 10 }, register));
  const token = (await server.login(ROOT)).access_token;
  const find = async (name) => (await server.api("GET", `/api/v1/admin/users?search=${address(name)}`, null, token)).items[0].id;
  for (const [name, role] of [["Grace Hopper", "admin"], ["Alan Turing", "support"], ["Radia Perlman", "support"]]) {
    await server.api("PATCH", `/api/v1/admin/users/${await find(name)}`, { role }, token);
  }
  for (const name of ["Ole Dahl", "Jim Gray", "Peter Naur"]) {
    await server.api("POST", `/api/v1/admin/users/${await find(name)}/deactivate`, null, token);
  }
  for (const name of ["Grace Hopper", "Barbara Liskov", "Barbara Liskov", "Alan Kay", "Sophie Wilson"]) {
    await server.login({ email: address(name), password });
  }
  return { token, find, address, password };
}

// --- People.

let browser;
export async function open() {
  rmSync(screenshots, { recursive: true, force: true });
  mkdirSync(screenshots, { recursive: true });
  const args = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
  browser = await chromium.launch({ executablePath: CHROMIUM, args: args.split(" ") });
}
export const close = () => browser.close();

// Runs in the page, before anything of it.
const watch = () => {
  const seen = (globalThis.seen = { shift: 0 });
  document.addEventListener("securitypolicyviolation", (event) => reportFault(`against the policy: ${event.violatedDirective} ${event.blockedURI}`));
  document.addEventListener("htmx:after:swap", () =>
    setTimeout(() => document.activeElement === document.body && reportFault(`the focus is lost at ${location.pathname}`)),
  );
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) seen.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
};

// Somebody with a browser of their own. `faults` is what must never happen on any page.
export async function visitor(server, { scripted = true, theme, width = 1280, as } = {}) {
  const context = await browser.newContext({
    baseURL: server.origin,
    viewport: { width, height: width < 768 ? 640 : 800 },
    javaScriptEnabled: scripted,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(PATIENCE);
  const faults = [];
  const cookies = { ...(theme && { theme }), ...as };
  await context.addCookies(Object.entries(cookies).map(([name, value]) => ({ name, value, url: server.origin })));
  await context.exposeBinding("reportFault", (_, what) => faults.push(what));
  if (scripted) await context.addInitScript(watch);
  context.on("request", (request) => {
    if (!request.url().startsWith(`${server.origin}/`) && !request.url().startsWith("data:")) faults.push(`a request to ${request.url()}`);
  });
  context.on("response", (response) => {
    const refused = response.status() >= 400 && !["document", "fetch", "xhr"].includes(response.request().resourceType());
    if (refused || response.status() >= 500) faults.push(`${response.status()} for ${response.url()}`);
  });
  context.on("weberror", (error) => faults.push(`an error in a script: ${error.error().message}`));
  context.on("console", (message) => {
    // A refusal that a page handles is no fault; one of an asset is told above.
    const handled = /the server responded with a status of 4\d\d/.test(message.text());
    if (message.type() === "error" && !handled) faults.push(`in the console: ${message.text()}`);
  });
  return { context, page: await context.newPage(), faults, server, scripted, leave: () => context.close() };
}

// The cookie of a new session, without a browser.
export async function session(server, { email, password }) {
  const form = await fetch(`${server.origin}/admin/sign-in`);
  const csrf = token(await form.text());
  const body = new URLSearchParams({ _csrf: csrf, email, password, next: "" });
  const response = await fetch(`${server.origin}/admin/sign-in`, { method: "POST", body, redirect: "manual", headers: { origin: server.origin } });
  const [name, value] = response.headers.getSetCookie()[0].split(";")[0].split("=");
  return { [name]: value };
}

export const token = (html) => html.match(/name="_csrf" value="([^"]+)"/)[1];
