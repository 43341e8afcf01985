// The order of the suite. What destroys comes last.
import { close, counts, open, serve } from "./harness.mjs";
import { firstRun } from "./walks.mjs";
import { forgedSetup, forgery } from "./forgery.mjs";
import { forms, killed } from "./forms.mjs";
import { consolePages, referencePages, setupPages } from "./pages.mjs";

const [scripted, plain] = await Promise.all([serve("scripted"), serve("plain")]);
await open();
await forgedSetup(plain);
await setupPages(plain);
await firstRun(plain, { scripted: false });
const known = await firstRun(scripted, { scripted: true });
await consolePages(scripted, known);
await referencePages(scripted);
await forms(scripted, known);
await forgery(scripted, known);
await killed(scripted);
await close();
console.log(counts());
process.exit(counts().endsWith(" 0 failed") ? 0 : 1);
