// The first run of a new installation, by keyboard alone: with scripts, then without.
import { ROOT, none, people, same, until, visitor, walk } from "./harness.mjs";

// Runs in the page: what is wrong with how the focused element shows that it is.
const ringFault = () => {
  const element = document.activeElement;
  // Tab has left the page. The field of the palette is marked by the line under it.
  if (element === document.body || element.id === "palette-q") return;
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
  const name = `<${element.localName}> ${(element.textContent.trim() || element.name || "").slice(0, 30)}`;
  if (outlineStyle === "none" || parseFloat(outlineWidth) < 2) return `${name} shows no focus`;
  const box = element.getBoundingClientRect();
  if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) return `${name} has the focus out of sight`;
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, alpha] = pen.getImageData(0, 0, 1, 1).data;
    const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return alpha && 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  let behind;
  for (let at = element.parentElement; at && !behind; at = at.parentElement) behind = luminance(getComputedStyle(at).backgroundColor);
  const [dark, light] = [luminance(outlineColor), behind].sort((a, b) => a - b);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 3) return `the focus on ${name} has a contrast of ${contrast.toFixed(1)}`;
};

export const focused = (page) => page.evaluate(() => document.activeElement.outerHTML.replace(/>[^]*/, ">").slice(0, 200));
const holds = (page, selector) => page.evaluate((s) => document.activeElement.matches(s), selector);

// Presses Tab until something is focused, as somebody does who cannot use a mouse.
export async function tabTo(page, selector, key = "Tab") {
  for (let pressed = 0; pressed < 200; pressed++) {
    await page.keyboard.press(key);
    const fault = await page.evaluate(ringFault);
    if (fault) throw new Error(fault);
    if (await holds(page, selector)) return;
  }
  throw new Error(`${key} never reaches ${selector}; it ends at ${await focused(page)}`);
}

export async function write(page, text) {
  await page.keyboard.press("Control+a");
  await page.keyboard.type(text);
}

// The message about the last act, which scripts move into a live region.
export async function told({ page, scripted }, text) {
  await until(`the message “${text}”`, async () => (await page.locator(scripted ? "#notes" : "#flash").innerText()).includes(text));
}

export async function at(page, path) {
  await until(`the page ${path}`, async () => {
    const { pathname, search } = new URL(page.url());
    return pathname + search === path && (await page.evaluate(() => document.readyState)) === "complete";
  });
}

const heading = (page, text) => until(`the heading “${text}”`, async () => (await page.locator("h1").innerText()) === text);

// After a navigation the focus is on the heading. A page that was loaded whole starts at its top.
const placed = (page, selector) => until(`the focus on ${selector}`, () => holds(page, selector));

const rows = (page) => page.locator("#rows tbody tr th a").allInnerTexts();

export async function firstRun(server, { scripted }) {
  const someone = await visitor(server, { scripted });
  const { page } = someone;
  const lands = (selector) => (scripted ? placed(page, selector) : undefined);
  let known;
  await walk(scripted ? "by keyboard" : "without scripts", async (step) => {
    await step("a faulty setup form keeps what was typed", async () => {
      await page.goto(server.setup);
      await placed(page, "#email");
      await page.keyboard.type("ada@example");
      await tabTo(page, "#full_name");
      await page.keyboard.type(ROOT.full_name);
      await tabTo(page, "#password");
      await page.keyboard.type("short");
      await page.keyboard.press("Enter");
      await until("the fault", () => page.locator("#password-fault").isVisible());
      same(await page.locator("#full_name").inputValue(), ROOT.full_name, "the name");
      same(await page.locator("#email").inputValue(), "ada@example", "the address");
      same(await page.locator("#password").inputValue(), "", "the password");
    });
    await step("the setup link makes the first administrator", async () => {
      await page.locator("#email").focus();
      await write(page, ROOT.email);
      await tabTo(page, "#password");
      await page.keyboard.type(ROOT.password);
      await tabTo(page, "main button");
      await page.keyboard.press("Enter");
      await at(page, "/admin");
      await told(someone, "Welcome.");
    });
    await step("45 people register", async () => {
      known = await people(server);
    });
    await step("to the users", async () => {
      if (scripted) {
        await page.keyboard.press("Control+k");
        await placed(page, "#palette-q");
        await page.keyboard.type("users");
      } else {
        await tabTo(page, 'a[href="/admin/users"]');
      }
      await page.keyboard.press("Enter");
      await at(page, "/admin/users");
      await lands("h1");
      same((await rows(page)).length, 20, "rows");
    });
    await step("to one of them, through a search", async () => {
      await (scripted ? page.keyboard.press("/") : tabTo(page, "#q"));
      await placed(page, "#q");
      await page.keyboard.type("liskov");
      if (!scripted) {
        await tabTo(page, "#filter button");
        await page.keyboard.press("Enter");
      }
      await until("one row", async () => (await rows(page)).length === 1);
      await at(page, scripted ? "/admin/users?search=liskov&sort=-created_at" : "/admin/users?search=liskov&status=&role=&sort=-created_at");
      await lands("#q");
      await tabTo(page, "#rows tbody th a");
      await page.keyboard.press("Enter");
      await heading(page, "Barbara Liskov");
      await lands("h1");
    });
    const home = new URL(page.url()).pathname;
    await step("a changed name is saved", async () => {
      await (scripted ? page.keyboard.press("e") : tabTo(page, "#full_name"));
      await placed(page, "#full_name");
      await write(page, "Barbara Jane Liskov");
      await tabTo(page, "form[data-guard] button");
      await page.keyboard.press("Enter");
      await told(someone, "Saved barbara.liskov@example.com.");
      await heading(page, "Barbara Jane Liskov");
      await at(page, home);
      await lands(":not(body)");
    });
    const end = async (which, left) => {
      await tabTo(page, `form[action$="/${which}"] button`);
      await page.keyboard.press("Enter");
      await until(`${left} sessions`, async () => (await page.locator('tr[id^="session-"]').count()) === left);
      await lands(":not(body)");
    };
    await step("one session is revoked", async () => {
      same(await page.locator('tr[id^="session-"]').count(), 2, "sessions");
      const row = await page.locator('tr[id^="session-"]').first().getAttribute("id");
      await end(`${row.slice(8)}/revoke`, 1);
      await told(someone, "The session is over.");
    });
    await step("deactivating is undone", async () => {
      await tabTo(page, 'main form[action$="/deactivate"] button', "Shift+Tab");
      await page.keyboard.press("Enter");
      await told(someone, "is deactivated");
      await page.locator(".page-head >> text=Inactive").waitFor();
      await lands("h1");
      if (scripted) await page.keyboard.press("z");
      else {
        await tabTo(page, '.toast form[action$="/activate"] button');
        await page.keyboard.press("Enter");
      }
      await told(someone, "is active again");
      await page.locator(".page-head .good >> text=Active").waitFor();
      same(await page.locator(".toast:visible").count(), 1, "messages");
      await at(page, home);
      await lands("h1");
    });
    if (scripted) {
      await step("an Undo within reach of Tab leaves nothing behind", async () => {
        await tabTo(page, '.toast form[action$="/deactivate"] button');
        await page.keyboard.press("Enter");
        await told(someone, "is deactivated");
        await lands("h1");
        await page.keyboard.press("z");
        await told(someone, "is active again");
        await lands("h1");
      });
    }
    await step("sorted by address", async () => {
      if (scripted) await page.keyboard.type("gu");
      else {
        await tabTo(page, 'nav a[href="/admin/users"]');
        await page.keyboard.press("Enter");
      }
      await at(page, "/admin/users");
      await lands("h1");
      await tabTo(page, '#rows thead a[href*="sort=email"]');
      await page.keyboard.press("Enter");
      await at(page, "/admin/users?sort=email");
      same(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending", "aria-sort");
      const shown = await rows(page);
      same(shown, [...shown].sort(), "the order");
      await lands("#rows thead a");
    });
    await step("three pages and back", async () => {
      const pages = [await rows(page)];
      for (const id of ["next", "next", "prev"]) {
        await tabTo(page, `#${id}`);
        await page.keyboard.press("Enter");
        await until("other rows", async () => (await rows(page))[0] !== pages.at(-1)[0]);
        await lands(":not(body)");
        pages.push(await rows(page));
      }
      same(pages.map((page) => page.length), [20, 20, 6, 20], "rows");
      same(pages[3], pages[1], "the second page again");
      const all = pages.slice(0, 3).flat();
      same(all, [...new Set(all)].sort(), "everybody once, in order");
    });
    await step("the address of a list is enough to see it again", async () => {
      const before = await rows(page);
      await page.reload();
      same(await rows(page), before, "the rows");
      await page.goBack();
      await until("the page before", async () => (await rows(page)).length === 6);
    });
    await step("the dark theme and back", async () => {
      for (const theme of ["dark", "auto"]) {
        await tabTo(page, `.segmented [value=${theme}]`);
        await page.keyboard.press("Enter");
        await until(`the ${theme} theme`, () => page.evaluate((t) => document.documentElement.dataset.theme === t, theme));
        same(await page.locator(`.segmented [value=${theme}]`).getAttribute("aria-pressed"), "true", "aria-pressed");
        await lands(`.segmented [value=${theme}]`);
        await page.reload();
        same(await page.locator("html").getAttribute("data-theme"), theme, "the theme of the next page");
      }
    });
    if (scripted) {
      await step("help on ?, closed by Escape", async () => {
        await page.keyboard.press("?");
        await page.locator("#keys[open]").waitFor();
        await page.keyboard.press("Escape");
        await page.locator("#keys[open]").waitFor({ state: "detached" });
      });
      await step("Escape leaves the palette for where it was opened", async () => {
        await page.goto("/admin/users");
        await page.keyboard.press("/");
        await page.keyboard.press("Control+k");
        await placed(page, "#palette-q");
        await page.keyboard.press("ArrowDown");
        await placed(page, '#palette a[href="/admin"]');
        await page.keyboard.press("Escape");
        await placed(page, "#q");
      });
      await step("a pasted id leads to its record", async () => {
        await page.keyboard.press("Control+k");
        await placed(page, "#palette-q");
        await page.keyboard.insertText(home.split("/").at(-1));
        await page.keyboard.press("Enter");
        await heading(page, "Barbara Jane Liskov");
        await lands("h1");
      });
      await step("letters are dead where they were turned off", async () => {
        await page.keyboard.press("?");
        await tabTo(page, "#keys [data-keys]");
        await page.keyboard.press("Space");
        await page.keyboard.press("Escape");
        await page.keyboard.type("go?");
        same(new URL(page.url()).pathname, home, "the page");
        same(await page.locator("dialog[open]").count(), 0, "dialogs");
      });
    }
    await step("all sessions are revoked", async () => {
      for (const _ of [1, 2]) await server.login({ email: known.address("Barbara Liskov"), password: known.password });
      await page.goto(home);
      await end("sessions/revoke", 0);
    });
    await step("signed out for good", async () => {
      await tabTo(page, "#sign-out button");
      await page.keyboard.press("Enter");
      await at(page, "/admin/sign-in");
      await page.goBack();
      await until("the sign-in page", () => new URL(page.url()).pathname === "/admin/sign-in");
    });
    await step("no fault on the way", () => none(someone.faults));
  });
  await someone.leave();
  return known;
}
