/** Whoever follows the event stream: reads it event by event, as a browser's EventSource does. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { type Envelope, envelope } from '@fleet/protocol/api/events.ts';

export interface Following {
  /** The next `count` events; nothing is read before somebody asks. Rejects when the stream ends before. */
  take(count: number): Promise<Envelope[]>;
  leave(): void;
}

export async function follow(
  url: string,
  lastEventId?: number,
  more: Record<string, string> = {},
): Promise<Following> {
  const headers = { ...more, ...(lastEventId !== undefined && { 'last-event-id': String(lastEventId) }) };
  const request = get(url, { headers });
  request.on('error', () => {});
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  response.on('error', () => {});
  const events = parsed(response);
  return {
    async take(count) {
      const taken: Envelope[] = [];
      while (taken.length < count) {
        const { value, done } = await events.next();
        if (done) throw new Error(`the stream ended after ${taken.length} of ${count} events`);
        taken.push(value);
      }
      return taken;
    },
    leave: () => request.destroy(),
  };
}

async function* parsed(response: IncomingMessage): AsyncGenerator<Envelope, undefined> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    text += String(chunk);
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const event = envelope.parse(JSON.parse(data));
      const id = /^id: (\d+)$/m.exec(block)?.[1];
      if (String(event.id) !== String(id ?? null)) throw new Error(`the id ${id} is not that of ${data}`);
      yield event;
    }
  }
}
