// The web app as a person uses it: by roles and names, with a mouse or with keys.

/** A page at the lobby of a room, or at the plain lobby. */
export async function lobby(browser, url, room, options = {}) {
  const page = await browser.blank(options);
  await page.goto(room ? `${url}/r/${room}` : url);
  await page.getByLabel('Your name').waitFor();
  return page;
}

/** Goes in by mouse. */
export async function goIn(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: /^(Go in|Open a new room)$/ }).click();
  await page.locator('main.call-main[data-state=connected]').waitFor();
}

/** A page in a room. */
export async function visitor(browser, url, room, name, options = {}) {
  const page = await lobby(browser, url, room, options);
  await goIn(page, name);
  return page;
}

/** The tile of somebody, by the name they gave. */
export function tile(page, name) {
  return page.locator(`article.tile[data-peer^="${name.toLowerCase()}-"][data-source=camera]`);
}

/** Waits until a video shows another picture than before, three times. */
export async function moves(video) {
  await video.waitFor();
  await video.evaluate(async (element) => {
    for (let frame = 0; frame < 3; frame += 1) {
      await new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error('no picture for 10 s')), 10_000);
        element.requestVideoFrameCallback(resolve);
      });
    }
  });
}

/** Waits until the tile of somebody shows a moving picture. */
export async function shown(page, name) {
  const video = tile(page, name).locator('video').first();
  await video.waitFor({ state: 'visible' });
  await moves(video);
}

/** Moves the focus by Tab until it is on this button. */
export async function tabTo(page, name) {
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press('Tab');
    const label = await page.evaluate(() => {
      const { activeElement } = document;
      return activeElement?.getAttribute('aria-label') ?? activeElement?.textContent ?? '';
    });
    if (name.test(label)) return;
  }
  throw new Error(`no Tab leads to ${name}`);
}
