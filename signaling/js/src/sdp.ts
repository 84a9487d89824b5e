/** What offers say that browsers do not say by themselves. */

const OPUS = /^a=rtpmap:(\d+) opus\/48000[^\r\n]*/im;

/**
 * Has lost sound sent again: browsers know `nack` for Opus (RFC 4585, section 6.2.1), but do not offer
 * it unasked.
 */
export function askForSound(sdp: string): string {
  return sdp
    .split(/(?=^m=)/m)
    .map((section) => {
      const payload = section.startsWith('m=audio') && OPUS.exec(section);
      if (!payload) return section;
      const [line, type] = payload;
      const nack = `a=rtcp-fb:${type} nack`;
      const known = new RegExp(`^${nack}\\s*$`, 'm').test(section);
      return known ? section : section.replace(line, `${line}\r\n${nack}`);
    })
    .join('');
}
