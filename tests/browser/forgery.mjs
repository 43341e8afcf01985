// Every form of the console, sent by somebody else's page: refused, and nothing changes.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, check, same, session, token } from "./harness.mjs";

const source = new URL("../../src", import.meta.url).pathname;

// Each route of the console that takes a POST, as the sources have it: a new one must be entered in the table below.
function routes() {
  const files = readdirSync(source, { recursive: true }).filter((file) => /(^|\/)(console\/mod|admin)\.rs$/.test(file));
  const text = files.map((file) => readFileSync(join(source, file), "utf8")).join();
  return [...text.matchAll(/\.at\("([^"]+)",[^\n]*\bpost\(/g)].map(([, path]) => path).sort();
}

const jar = (cookies) => Object.entries(cookies).map(([name, value]) => `${name}=${value}`).join("; ");

async function post(server, path, fields, headers) {
  const response = await fetch(server.origin + path, { method: "POST", body: new URLSearchParams(fields), headers, redirect: "manual" });
  return { status: response.status, cookies: response.headers.getSetCookie().filter((cookie) => !cookie.startsWith("flash=;")) };
}

async function csrf(server, path, cookies) {
  const response = await fetch(server.origin + path, { headers: { cookie: jar(cookies) } });
  return token(await response.text());
}

// The ways to forge one form, each with everything else right; then the form itself, which shows that they were.
async function attack(server, title, path, fields, me, own, others, state) {
  const cookie = jar(me);
  const ours = { cookie, origin: server.origin };
  const attempts = [
    ["no token", fields, ours],
    ["the token of another session", { ...fields, _csrf: others }, ours],
    ["a page of another site", { ...fields, _csrf: own }, { ...ours, "sec-fetch-site": "cross-site" }],
    ["a page of a neighbouring host", { ...fields, _csrf: own }, { ...ours, "sec-fetch-site": "same-site" }],
    ["a foreign origin", { ...fields, _csrf: own }, { cookie, origin: "https://evil.example" }],
    ["an opaque origin", { ...fields, _csrf: own }, { cookie, origin: "null" }],
    ["no origin", { ...fields, _csrf: own }, { cookie }],
  ];
  const before = await state();
  for (const [how, sent, headers] of attempts) {
    await check(`forgery of ${title}, ${how}`, async () => same(await post(server, path, sent, headers), { status: 403, cookies: [] }, "the answer"));
  }
  await check(`forgery of ${title} changes nothing`, async () => {
    same(await state(), before, "what is stored");
    same((await post(server, path, { ...fields, _csrf: own }, ours)).status, 303, "the answer to the form itself");
  });
}

export async function forgedSetup(server) {
  const path = new URL(server.setup).pathname;
  await check("forgery of /setup/:token", async () => {
    const own = await csrf(server, path, {});
    const fields = { ...ROOT, _csrf: own };
    for (const headers of [{}, { origin: "https://evil.example" }, { origin: server.origin, "sec-fetch-site": "cross-site" }]) {
      same(await post(server, path, fields, headers), { status: 403, cookies: [] }, "the answer");
    }
    same(await post(server, path, ROOT, { origin: server.origin }), { status: 403, cookies: [] }, "the answer without a token");
    same((await fetch(server.setup)).status, 200, "the link");
  });
}

export async function forgery(server, known) {
  const [me, other] = [await session(server, ROOT), await session(server, ROOT)];
  const [own, others, guest] = [await csrf(server, "/admin", me), await csrf(server, "/admin", other), await csrf(server, "/admin/sign-in", {})];
  const id = await known.find("Sophie Wilson");
  const inactive = await known.find("Ole Dahl");
  const path = `/admin/users/${id}`;
  const read = (id) => server.api("GET", `/api/v1/admin/users/${id}`, null, known.token);
  const page = async (path) => (await (await fetch(server.origin + path, { headers: { cookie: jar(me) } })).text()).match(/id="session-[^"]+"/g);
  const state = async () => [await read(id), await read(inactive), await page(path), await page("/admin")];
  const sessions = await page(path);
  const version = (await (await fetch(server.origin + path, { headers: { cookie: jar(me) } })).text()).match(/name="version" value="([^"]+)"/)[1].replaceAll("&quot;", '"').replaceAll("&#34;", '"');
  const table = {
    "/users/:id": [path, { full_name: "Forged", avatar_url: "", role: "user", version }],
    "/users/:id/sessions/:session/revoke": [`${path}/sessions/${sessions[0].slice(12, -1)}/revoke`, {}],
    "/users/:id/sessions/revoke": [`${path}/sessions/revoke`, {}],
    "/users/:id/deactivate": [`${path}/deactivate`, {}],
    "/users/:id/activate": [`/admin/users/${inactive}/activate`, {}],
    "/theme": ["/admin/theme", { theme: "dark", return: "/admin" }],
    "/sign-in": ["/admin/sign-in", { email: ROOT.email, password: ROOT.password, next: "" }],
    "/sign-out": ["/admin/sign-out", {}],
  };
  await check("every form of the console is in the table of forgeries", () => same([...Object.keys(table), "/setup/:token"].sort(), routes(), "routes"));
  for (const [route, [path, fields]] of Object.entries(table)) {
    const [cookies, field] = route === "/sign-in" ? [{}, guest] : [me, own];
    await attack(server, route, path, fields, cookies, field, others, state);
  }
}
