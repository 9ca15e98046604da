/** Server-sent events, as the HTML standard writes them: fields a line, an empty line ends a message. */
export interface Message {
  id: string;
  data: string;
}

/** Messages as they come. A comment gives nothing; a message that is cut off is left out. `onBytes`: something came. */
export async function* readMessages(
  body: AsyncIterable<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<Message> {
  const decoder = new TextDecoder();
  let rest = '';
  let id = '';
  let data: string[] = [];
  for await (const chunk of body) {
    onBytes();
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const ended of lines) {
      const line = ended.endsWith('\r') ? ended.slice(0, -1) : ended;
      if (line === '') {
        if (data.length > 0) yield { id, data: data.join('\n') };
        data = [];
        continue;
      }
      const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === 'id') id = value;
      else if (field === 'data') data.push(value);
    }
  }
}
