// Every page in both themes and at both widths: accessible, still, within its policy, its host, its width and its budget.
import { join } from "node:path";
import { ROOT, axe, check, none, same, screenshots, session, until, visitor } from "./harness.mjs";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const BUDGET = { kilobytes: 60, requests: 8, shift: 0.01, rows: 18 };

// What came over the wire, headers included.
async function meter(page) {
  const wire = await page.context().newCDPSession(page);
  const seen = { bytes: 0, requests: 0 };
  wire.on("Network.requestWillBeSent", () => seen.requests++);
  wire.on("Network.loadingFinished", ({ encodedDataLength }) => (seen.bytes += encodedDataLength));
  await wire.send("Network.enable");
  return seen;
}

const still = (page) => page.evaluate(() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));

async function inaccessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: "tag", values }, resultTypes: ["violations"] }), TAGS);
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `axe ${id} at ${target.join(" ")}: ${failureSummary.split("\n").slice(1).join(";")}`));
}

async function inspect({ page, faults }, name, { light, wide, checked, whole }, reach) {
  const wire = light && wide ? await meter(page) : null;
  const notes = [];
  if (typeof reach === "string") await page.goto(reach, { waitUntil: "networkidle" });
  else await reach(page);
  await still(page);
  if (wire && whole) {
    const kilobytes = wire.bytes / 1000;
    notes.push(`${kilobytes.toFixed(1)} kB, ${wire.requests} requests`);
    if (kilobytes > BUDGET.kilobytes) faults.push(`${kilobytes.toFixed(1)} kB on the first visit`);
    if (wire.requests > BUDGET.requests) faults.push(`${wire.requests} requests on the first visit`);
  }
  if (checked) faults.push(...(await inaccessible(page)));
  const { over, shift, rows } = await page.evaluate(() => ({
    over: document.documentElement.scrollWidth - innerWidth,
    shift: seen.shift,
    rows: [...document.querySelectorAll("#rows tbody tr")].filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length,
  }));
  if (over > 0) faults.push(`${over} px too wide`);
  if (shift > BUDGET.shift) faults.push(`a layout shift of ${shift.toFixed(3)}`);
  notes.push(`shift ${shift.toFixed(3)}`);
  if (wide && name === "users") {
    notes.push(`${rows} rows in sight`);
    if (rows < BUDGET.rows) faults.push(`${rows} rows in sight`);
  }
  const file = join(screenshots, `${name}-${light ? "light" : "dark"}-${wide ? 1280 : 320}.png`);
  await page.screenshot({ path: file, fullPage: whole && !wide });
  none(faults);
  return notes.join(", ");
}

async function each(server, pages, { as, checked = true, whole = true } = {}) {
  for (const [name, reach] of Object.entries(pages)) {
    for (const wide of [true, false]) {
      for (const light of [true, false]) {
        await check(`${name}, ${light ? "light" : "dark"}, ${wide ? 1280 : 320} px`, async () => {
          const someone = await visitor(server, { theme: light ? "light" : "dark", width: wide ? 1280 : 320, as });
          try {
            return await inspect(someone, name, { light, wide, checked, whole }, reach);
          } finally {
            await someone.leave();
          }
        });
      }
    }
  }
}

const submit = (path, fields, appears) => async (page) => {
  await page.goto(path);
  for (const [id, value] of Object.entries(fields)) await page.locator(`#${id}`).fill(value);
  await page.keyboard.press("Enter");
  await page.locator(appears).first().waitFor();
};

export async function setupPages(server) {
  const path = new URL(server.setup).pathname;
  await each(server, {
    setup: path,
    "setup-faults": submit(path, { email: "ada", full_name: "Ada", password: "short" }, ".fault"),
    "sign-in": "/admin/sign-in",
    "sign-in-error": submit("/admin/sign-in", { email: ROOT.email, password: "wrong" }, "[role=alert]"),
  });
}

export async function consolePages(server, known) {
  const path = `/admin/users/${await known.find("Grace Hopper")}`;
  const opened = (address, key, appears) => async (page) => {
    await page.goto(address);
    await page.keyboard.press(key);
    await page.locator(appears).waitFor();
  };
  await each(
    server,
    {
      overview: "/admin",
      users: "/admin/users",
      "users-no-match": "/admin/users?search=nobody+at+all",
      user: path,
      "user-faults": submit(path, { full_name: "G".repeat(300), avatar_url: "ftp://example.com" }, ".fault"),
      "user-conflict": async (page) => {
        await page.goto(path);
        await page.locator("[name=version]").evaluate((field) => (field.value = '"0"'));
        await page.locator("#full_name").fill("Somebody else");
        await page.keyboard.press("Enter");
        await page.locator(".diff").waitFor();
      },
      palette: opened("/admin/users", "Control+k", "#palette[open]"),
      shortcuts: opened("/admin/users", "?", "#keys[open]"),
      message: async (page) => {
        await page.goto(path);
        await page.getByRole("button", { name: "Save changes" }).click();
        await page.locator("#notes .toast").waitFor();
      },
      search: "/admin/search?q=grace",
      "search-nothing": "/admin/search?q=nobody+at+all",
      "not-found": async (page) => {
        same((await page.goto("/admin/nowhere", { waitUntil: "networkidle" })).status(), 404, "the status");
      },
    },
    { as: await session(server, ROOT) },
  );
}

export async function referencePages(server) {
  await each(
    server,
    { "docs-api": "/docs/api", "docs-group": "/docs/api/users", "docs-errors": "/docs/api/errors", "docs-schemas": "/docs/api/schemas" },
    { whole: false },
  );
  const health = async (page) => {
    await page.goto("/docs/try");
    const operation = page.locator(".opblock", { hasText: "/api/v1/public/health" }).filter({ hasNotText: "/ready" });
    await page.locator(".opblock-tag", { hasText: /health/i }).click();
    await operation.locator(".opblock-summary-control").click();
    await operation.locator(".execute").click();
    await until("the answer", async () => (await operation.locator(".live-responses-table .response-col_status").innerText()).includes("200"));
  };
  await each(server, { "docs-try": health }, { checked: false, whole: false });
}
