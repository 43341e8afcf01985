// Every page in both themes and at both widths: accessible, still, within its policy, its host, its width and its budget.
import { join } from "node:path";
import { ROOT, axe, check, none, same, screenshots, session, until, visitor } from "./harness.mjs";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const BUDGET = { kilobytes: 60, requests: 8, shift: 0.01, rows: 18 };

// What comes over the wire, headers included.
async function meter(page) {
  const wire = await page.context().newCDPSession(page);
  const seen = { bytes: 0, requests: 0, open: 0 };
  wire.on("Network.requestWillBeSent", () => (seen.requests++, seen.open++));
  wire.on("Network.loadingFinished", ({ encodedDataLength }) => ((seen.bytes += encodedDataLength), seen.open--));
  await wire.send("Network.enable");
  return seen;
}

const still = (page) => page.evaluate(() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))));

// What a reader with an empty cache waits for.
async function firstVisit(server, address, as) {
  const { page, leave } = await visitor(server, { as });
  const wire = await meter(page);
  await page.goto(address);
  await still(page);
  await until("the end of all requests", () => wire.open === 0);
  await leave();
  const kilobytes = wire.bytes / 1000;
  const cost = `${kilobytes.toFixed(1)} kB in ${wire.requests} requests`;
  if (kilobytes > BUDGET.kilobytes || wire.requests > BUDGET.requests) throw new Error(cost);
  return cost;
}

async function inaccessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: "tag", values }, resultTypes: ["violations"] }), TAGS);
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `axe ${id} at ${target.join(" ")}: ${failureSummary.split("\n").slice(1).join(";")}`));
}

async function inspect({ page, faults }, name, { theme, width, own }, reach) {
  faults.length = 0;
  if (typeof reach === "string") await page.goto(reach);
  else await reach(page);
  await still(page);
  if (own) faults.push(...(await inaccessible(page)));
  const { painted, over, shift, rows } = await page.evaluate(() => ({
    painted: document.documentElement.dataset.theme,
    over: document.documentElement.scrollWidth - innerWidth,
    shift: seen.shift,
    rows: [...document.querySelectorAll("#rows tbody tr")].filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length,
  }));
  if (painted !== theme) faults.push(`the theme is ${painted}`);
  if (over > 0) faults.push(`${over} px too wide`);
  if (own && shift > BUDGET.shift) faults.push(`a layout shift of ${shift.toFixed(3)}`);
  if (name === "users" && width > 768 && rows < BUDGET.rows) faults.push(`${rows} rows in sight`);
  await page.screenshot({ path: join(screenshots, `${name}-${theme}-${width}.png`), fullPage: width < 768 && !name.startsWith("docs") });
  none(faults);
  return `shift ${shift.toFixed(3)}${rows ? `, ${rows} rows in sight` : ""}`;
}

// Two people at once, one a theme, each with a browser window of both widths.
async function each(server, pages, { as, own = true } = {}) {
  const looks = async (theme, width) => {
    const someone = await visitor(server, { theme, width, as });
    for (const [name, reach] of Object.entries(pages)) {
      await check(`${name}, ${theme}, ${width} px`, () => inspect(someone, name, { theme, width, own }, reach));
    }
    await someone.leave();
  };
  for (const width of [1280, 320]) await Promise.all(["light", "dark"].map((theme) => looks(theme, width)));
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
  for (const address of [path, "/admin/sign-in"]) {
    await check(`a first visit to ${address.replace(/[^/]{20,}/, ":token")}`, () => firstVisit(server, address));
  }
}

export async function consolePages(server, known) {
  const path = `/admin/users/${await known.find("Grace Hopper")}`;
  const opened = (address, key, appears) => async (page) => {
    await page.goto(address);
    await page.keyboard.press(key);
    await page.locator(appears).waitFor();
  };
  const as = await session(server, ROOT);
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
        same((await page.goto("/admin/nowhere")).status(), 404, "the status");
      },
    },
    { as },
  );
  for (const address of ["/admin", "/admin/users", path, "/admin/search?q=grace"]) {
    await check(`a first visit to ${address.replace(/[^/]{20,}/, ":id")}`, () => firstVisit(server, address, as));
  }
}

export async function referencePages(server) {
  await each(server, {
    "docs-api": "/docs/api",
    "docs-group": "/docs/api/users",
    "docs-errors": "/docs/api/errors",
    "docs-schemas": "/docs/api/schemas",
  });
  await check("the reference without scripts", async () => {
    const { page, leave } = await visitor(server, { scripted: false });
    await page.goto("/docs/api/users");
    await page.locator(".operation").first().waitFor();
    same(await page.locator(".seek, .duplicate").filter({ visible: true }).count(), 0, "controls that would do nothing");
    await leave();
  });
  const health = async (page) => {
    await page.goto("/docs/try");
    const operation = page.locator(".opblock", { hasText: "/api/v1/public/health" }).filter({ hasNotText: "/ready" });
    await page.locator(".opblock-tag", { hasText: /health/i }).click();
    await operation.locator(".opblock-summary-control").click();
    await operation.locator(".execute").click();
    await until("the answer", async () => (await operation.locator(".live-responses-table tbody .response-col_status").innerText()).includes("200"));
  };
  await each(server, { "docs-try": health }, { own: false });
}
