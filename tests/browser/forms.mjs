// What a form does when it is refused, when somebody was faster, and when there is nobody to take it.
import { ROOT, check, none, same, session, until, visitor } from "./harness.mjs";
import { at, focused, told, write } from "./walks.mjs";

const user = (known, name) => known.find(name).then((id) => `/admin/users/${id}`);
const holds = (page, id) => until(`the focus on #${id}`, () => page.evaluate((id) => document.activeElement.id === id, id));

async function refused(page, path) {
  await page.goto(path);
  await page.locator("#full_name").fill("Kept as typed");
  await page.locator("#avatar_url").fill("ftp://example.com/a.png");
  await page.keyboard.press("Enter");
  await until("the fault", () => page.locator("#avatar_url-fault").isVisible());
  same(await page.locator("#full_name").inputValue(), "Kept as typed", "the name");
  same(await page.locator("#avatar_url").inputValue(), "ftp://example.com/a.png", "the address");
  same(await page.locator("#avatar_url").getAttribute("aria-invalid"), "true", "aria-invalid");
  same((await page.locator("#avatar_url").getAttribute("aria-describedby")).split(" ")[0], "avatar_url-fault", "aria-describedby");
  same(await page.locator("#full_name").getAttribute("aria-invalid"), null, "aria-invalid of the good field");
  await holds(page, "avatar_url");
  await at(page, path);
}

async function conflict(page, path, server, known) {
  await page.goto(path);
  await page.locator("#full_name").fill("Mine");
  await server.api("PATCH", `/api/v1${path}`, { full_name: "Theirs" }, known.token);
  await page.keyboard.press("Enter");
  await until("the conflict", () => page.locator(".diff").isVisible());
  const diff = await page.locator(".diff li").allInnerTexts();
  same([diff.length, diff[0].includes("Theirs"), diff[0].includes("Mine")], [1, true, true], `both values in “${diff}”`);
  same(await page.locator("#full_name").inputValue(), "Mine", "the name");
  await page.getByRole("button", { name: "Save changes" }).click();
  await until("the new name", async () => (await page.locator("h1").innerText()) === "Mine");
}

async function signIn(page, address, password) {
  await page.locator("#email").fill(address);
  await page.locator("#password").fill(password);
  await page.keyboard.press("Enter");
}

// The list, searched by somebody whose session has ended meanwhile.
async function ended(someone, token) {
  const { page, server } = someone;
  await page.goto("/admin/users?status=active");
  const open = await server.api("GET", "/api/v1/app/auth/sessions", null, token);
  for (const { id } of open.items.filter((session) => !session.current)) await server.api("DELETE", `/api/v1/app/auth/sessions/${id}`, null, token);
  await page.locator("#q").fill("grace");
  await until("the sign-in page", async () => (await page.locator("h1").innerText()) === "Sign in");
  await signIn(page, ROOT.email, ROOT.password);
  await at(page, "/admin/users?search=grace&status=active&sort=-created_at");
  same(await page.locator("#rows tbody tr").count(), 1, "rows");
}

export async function forms(server, known) {
  for (const scripted of [true, false]) {
    const how = scripted ? "with scripts" : "without scripts";
    const someone = await visitor(server, { scripted, as: await session(server, ROOT) });
    const { page } = someone;
    const path = await user(known, scripted ? "Alan Kay" : "Robin Milner");
    await check(`a refused form, ${how}`, () => refused(page, path));
    await check(`somebody was faster, ${how}`, () => conflict(page, path, server, known));
    await page.context().clearCookies();
    await check(`a wrong password tells nobody whether there is such an account, ${how}`, async () => {
      const messages = new Set();
      for (const address of [ROOT.email, "nobody@example.com"]) {
        await page.goto("/admin/sign-in");
        await signIn(page, address, "not the password");
        await page.locator("[role=alert]").waitFor();
        same(await page.locator("#email").inputValue(), address, "the address");
        await holds(page, "password");
        messages.add(await page.locator("[role=alert]").innerText());
      }
      same(messages.size, 1, "different messages");
    });
    await check(`no fault in forms, ${how}`, () => none(someone.faults));
    await someone.leave();
  }
  const someone = await visitor(server, { as: await session(server, ROOT) });
  const { page } = someone;
  await check("reloading a refused form sends nothing again", async () => {
    await refused(page, await user(known, "Alan Kay"));
    await page.reload();
    same(await page.locator("#full_name").inputValue(), "Mine", "the name");
    same(await page.locator("#avatar_url-fault").count(), 0, "faults");
  });
  await check("unsaved changes are asked about", async () => {
    let asked = 0;
    page.on("dialog", (dialog) => (asked++ ? dialog.accept() : dialog.dismiss()));
    await page.locator("#full_name").fill("Not saved");
    await page.locator(".crumbs a").click();
    same(await page.locator("#full_name").inputValue(), "Not saved", "the name");
    await page.locator(".crumbs a").click();
    await at(page, "/admin/users");
    same(asked, 2, "questions");
  });
  await check("an ended session leads to the sign-in page and back", () => ended(someone, known.token));
  await check("ending one's own session leads to the sign-in page", async () => {
    await page.goto(await user(known, "Ada Lovelace"));
    await page.locator("tr", { hasText: "This session" }).getByRole("button").click();
    await until("the sign-in page", async () => (await page.locator("h1").innerText()) === "Sign in");
  });
  await check("no fault in forms of a session that ended", () => none(someone.faults));
  await someone.leave();
}

// The last check: it ends the server while a request is waiting.
export async function killed(server) {
  const someone = await visitor(server, { as: await session(server, ROOT) });
  const { page } = someone;
  await check("a server that dies is told of, and the page stays", async () => {
    await page.goto("/admin/users");
    server.child.kill("SIGSTOP");
    const asked = page.waitForRequest(/search=hopper/);
    await page.locator("#q").fill("hopper");
    await asked;
    server.child.kill("SIGKILL");
    await until("the alert", async () => (await page.locator("#alerts").innerText()).includes("The server did not answer."));
    same(await page.locator("#rows tbody tr").count(), 20, "rows");
    await holds(page, "q");
    await page.locator("#alerts [data-close]").focus();
    await page.keyboard.press("Enter");
    same(await page.locator("#alerts .toast").count(), 0, "toasts after dismissing");
    if ((await focused(page)).startsWith("<body")) throw new Error("the focus is lost on <body>");
  });
  await someone.leave();
}
