// A member of a room: a page that has entered by the SDK, driven from here.

/** Opens a page and enters; options are the SDK's. */
export async function enter(browser, server, room, identity, options = {}) {
  const member = new Member(await browser.page(), server, room, identity);
  await member.enter(options);
  return member;
}

/** Enters and publishes; `publish` are the options of `call.publish`. */
export async function publisher(browser, server, room, identity, choices = {}) {
  const { publish = {}, ...options } = choices;
  const member = await enter(browser, server, room, identity, options);
  await member.page.evaluate((wanted) => call.publish(wanted), publish);
  return member;
}

export class Member {
  constructor(page, server, room, identity) {
    Object.assign(this, { page, server, room, identity });
  }

  /** Joins; `url` is where signalling is, the server's own unless told otherwise. */
  async enter({ url = this.server.url, token, ...options } = {}) {
    const mine = token ?? (await this.server.token(this.room, this.identity));
    return this.page.evaluate(
      ({ url, token, options }) => call.enter(url, token, options),
      { url, token: mine, options },
    );
  }

  /** Waits until this many videos of others are decoded. */
  seen(count, ms) {
    return this.page.evaluate(([count, ms]) => call.seen(count, ms), [count, ms]);
  }

  /** Watches what is received for `ms`: a row for each track shown. */
  receive(ms) {
    return this.page.evaluate((ms) => call.receive(ms), ms);
  }

  /** What the room told so far, of these types or all. */
  async events(...types) {
    const events = await this.page.evaluate(() => call.events);
    return types.length > 0 ? events.filter(({ type }) => types.includes(type)) : events;
  }

  /** Waits until the room has told something that `matches` as a subset. */
  told(matches, ms = 10_000) {
    return this.page.evaluate(
      ({ matches, ms }) => {
        const fits = (event) =>
          Object.entries(matches).every(([key, value]) => event[key] === value);
        return probe.until(() => call.events.find(fits), ms, JSON.stringify(matches));
      },
      { matches, ms },
    );
  }

  /** The results of every `join`, the first and those after a loss. */
  joins() {
    return this.page.evaluate(() =>
      call.frames.map(({ result }) => result).filter((result) => result?.resumeToken),
    );
  }

  leave() {
    return this.page.evaluate(() => call.leave());
  }

  /** Leaves as a closed tab does. */
  async close() {
    await this.page.context().close();
  }
}

/** The rows of one kind. */
export const videos = (rows) => rows.filter(({ kind }) => kind === 'video');
export const audios = (rows) => rows.filter(({ kind }) => kind === 'audio');
