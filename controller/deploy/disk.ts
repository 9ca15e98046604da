/** The disk as a deployment uses it: the calls of node:fs/promises by their own names, handed in. */
import * as node from 'node:fs/promises';

export interface Disk {
  readFile(path: string): Promise<Buffer>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  writeFile(path: string, content: string): Promise<void>;
}

export const realDisk: Disk = node;
