// Looks at HTML pages in a real browser: screenshots, text overflow, accessibility, keyboard, and without a script.
//
//   node check.mjs [--mail] OUTPUT-FOLDER PAGE.html…
//
// --mail: the pages are mail, which nobody can do anything in but read.
//
// Ends with 1 and one line per defect. LIFEBOAT_CHROMIUM names the browser's program.
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const modules = createRequire(resolve(process.env.LIFEBOAT_BROWSER_MODULES ?? ".", "package.json"));
const puppeteer = (await import(pathToFileURL(modules.resolve("puppeteer-core")).href)).default;
const axe = modules.resolve("axe-core/axe.min.js");

const WIDTHS = [400, 1400];
const SCHEMES = ["light", "dark"];

const [output, ...pages] = process.argv.slice(2).filter((word) => word !== "--mail");
const mail = process.argv.includes("--mail");
if (!output || pages.length === 0) {
  console.error("usage: node check.mjs [--mail] OUTPUT-FOLDER PAGE.html…");
  process.exit(2);
}
mkdirSync(output, { recursive: true });

const browser = await puppeteer.launch({
  executablePath: process.env.LIFEBOAT_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
});
const defects = [];

// Text that does not fit where it stands, or that stands outside of the page.
const overflowing = () => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    if (element.closest("svg, script, [hidden]") || style.clipPath !== "none" || element.closest("thead") && getComputedStyle(element.closest("thead")).clipPath !== "none") continue;
    if (style.display === "inline" || style.overflowX === "auto") continue;
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) {
      found.push(`<${element.tagName.toLowerCase()} class="${element.className}"> ${element.textContent.trim().slice(0, 60)}`);
    }
  }
  return found;
};

for (const file of pages) {
  const url = pathToFileURL(resolve(file)).href;
  const name = basename(file, ".html");
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const where = `${name}, ${width} px, ${scheme}`;
      const page = await browser.newPage();
      const errors = [];
      page.on("pageerror", (error) => errors.push(error.message));
      page.on("request", (request) => {
        if (request.url() !== url && !request.url().startsWith("data:")) errors.push(`it loads ${request.url()}`);
      });
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.goto(url);
      for (const open of [false, true]) {
        if (open) await page.evaluate(() => document.querySelectorAll("details").forEach((d) => (d.open = true)));
        for (const text of await page.evaluate(overflowing)) defects.push(`${where}: overflow: ${text}`);
        const state = open ? "-open" : "";
        await page.screenshot({ path: resolve(output, `${name}-${width}-${scheme}${state}.png`), fullPage: true });
      }
      await page.addScriptTag({ path: axe });
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const violation of violations) {
        const nodes = violation.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} (${node.failureSummary.replaceAll("\n", " ")})`);
        defects.push(`${where}: ${violation.id} (${violation.impact}): ${nodes.join("; ")}`);
      }
      for (const error of errors) if (!error.includes("axe")) defects.push(`${where}: ${error}`);
      await page.close();
    }
  }
  if (mail) {
    await nothingToDo(url, name);
  } else {
    await keyboard(url, name);
    await withoutScript(url, name);
    await muchLater(url, name);
  }
}
await browser.close();
for (const defect of defects) console.log(defect);
console.log(`${pages.length} pages, ${defects.length} defects; screenshots in ${output}`);
process.exit(defects.length === 0 ? 0 : 1);

// Mail holds no script and nothing that could take the focus.
async function nothingToDo(url, name) {
  const page = await browser.newPage();
  await page.goto(url);
  const found = await page.$$eval("script, form, input, button, iframe, img, link", (elements) => elements.map((e) => e.tagName));
  if (found.length > 0) defects.push(`${name}: mail must not hold ${found.join(", ")}`);
  await page.close();
}

// Whatever can be reached by the tabulator shows that it has the focus.
async function keyboard(url, name) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1400, height: 900 });
  await page.goto(url);
  const reached = [];
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      return { what: `${element.tagName} ${element.textContent.trim().slice(0, 40)}`, outlineStyle, outlineWidth, top: box.bottom, width: box.width };
    });
    if (!focused) break;
    reached.push(focused.what);
    if (focused.outlineStyle === "none" || focused.outlineWidth === "0px") defects.push(`${name}: the focus on ${focused.what} cannot be seen`);
    if (focused.top <= 0 || focused.width === 0) defects.push(`${name}: ${focused.what} has the focus outside of the window`);
  }
  if (!reached[0]?.startsWith("A Skip")) defects.push(`${name}: the first thing reached is ${reached[0]}, not the link that skips the head`);
  await page.close();
}

// Everything can be read without the script.
async function withoutScript(url, name) {
  const page = await browser.newPage();
  await page.setJavaScriptEnabled(false);
  await page.goto(url);
  const text = await page.$eval("body", (body) => body.innerText);
  for (const part of ["Made on", "if that time is more than two hours ago, health has stopped", "All databases"]) {
    if (!text.includes(part)) defects.push(`${name}: without its script it lacks “${part}”`);
  }
  await page.close();
}

// A page that health no longer writes says so.
async function muchLater(url, name) {
  for (const [hours, shown] of [[1, false], [3, true]]) {
    const page = await browser.newPage();
    await page.goto(url);
    const made = await page.$eval("#made", (time) => Date.parse(time.dateTime));
    const later = await browser.newPage();
    await later.evaluateOnNewDocument((now) => { Date.now = () => now; }, made + hours * 3600000);
    await later.goto(url);
    const visible = await later.$eval("#stale", (element) => !element.hidden && element.offsetHeight > 0);
    if (visible !== shown) defects.push(`${name}: ${hours} h later the warning that the page is out of date is ${visible ? "" : "not "}shown`);
    await later.close();
    await page.close();
  }
}
