import { X509Certificate } from 'node:crypto';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import type { Joined } from '../trust/joined.ts';

/** Renewal begins at half of a certificate's life and is tried every few minutes: by then something is in its way. */
const LATE = 0.75;

/** This host's certificate: whose it is, until when it holds, and when it is renewed. `now`: milliseconds since 1970. */
export function lookAtCertificate(joined: Joined | undefined, now: number): Finding {
  const about = 'certificate';
  if (joined === undefined)
    return warn(
      about,
      'this host has joined no fleet: its link is plain, for development alone',
      'fleet token create where the controller is, then fleet agent join on this host',
    );
  try {
    const certificate = new X509Certificate(joined.certificate());
    const from = certificate.validFromDate.getTime();
    const to = certificate.validToDate.getTime();
    if (certificate.subject !== `CN=${joined.host}`)
      return bad(
        about,
        `it is for ${certificate.subject}, and this host is ${joined.host}`,
        `join anew: fleet token create --host ${joined.host}, then fleet agent join --again on this host`,
      );
    const due = iso(from + (to - from) / 2);
    if (now >= to)
      return bad(
        about,
        `it ended at ${iso(to)}`,
        'start the agent, which asks for a new one: systemctl restart fleet-agent; 30 days after the end this host has to join anew',
      );
    if (now < from)
      return bad(
        about,
        `it holds from ${iso(from)} on, and it is ${iso(now)} here`,
        'set the clock: timedatectl set-ntp true',
      );
    if (now > from + (to - from) * LATE)
      return warn(
        about,
        `of ${joined.host}, until ${iso(to)}, and it should have been renewed at ${due}`,
        'journalctl -u fleet-agent -n 100 says why it was not',
      );
    return ok(about, `of ${joined.host}, until ${iso(to)}, renewal due at ${due}`);
  } catch (error) {
    const { message, next } = asFleetError(error);
    return bad(about, message, next ?? 'join anew: fleet agent join --again on this host');
  }
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
